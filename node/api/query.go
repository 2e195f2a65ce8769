package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Sizes of a page.  The largest is some megabytes: a peer is about a kilobyte, and
// a branch may name thousands of peers.
const (
	defaultLimit = 100
	maxLimit     = 1000
	maxBranches  = 50
)

// A query is what a request asks of a list: the entries that pass the filter,
// limit of them from the offset-th on.
type query struct {
	limit, offset int
	filter        []string // allowed values; empty: all
}

// parseQuery reads the part of a URL behind the question mark.  A page has at most
// most entries.  filter is the name of the parameter that filters, empty where none does, and words are the
// values it may have.  An error names the parameter, its value and what is
// allowed.
func parseQuery(raw string, most int, filter string, words []string) (q query, err error) {
	known := []string{"limit", "offset"}
	if filter != "" {
		known = append(known, filter)
	}
	values, err := parameters(raw, known...)
	if err != nil {
		return q, err
	}
	if q.limit, err = number(values, "limit", min(defaultLimit, most), 1, most); err != nil {
		return q, err
	}
	if q.offset, err = number(values, "offset", 0, 0, 1<<31-1); err != nil {
		return q, err
	}
	for _, list := range values[filter] {
		for word := range strings.SplitSeq(list, ",") {
			if !slices.Contains(words, word) {
				return q, fmt.Errorf("%s: %.100q is none of %s", filter, word, strings.Join(words, ", "))
			}
			if !slices.Contains(q.filter, word) {
				q.filter = append(q.filter, word)
			}
		}
	}
	return q, nil
}

// parameters reads the part of a URL behind the question mark, which may have
// known ones only.
func parameters(raw string, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	for name := range values {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("query: unknown parameter %.100q; allowed are %s", name, strings.Join(known, ", "))
		}
	}
	return values, nil
}

// number returns the parameter of a name, or absent when it isn't given.
func number(values url.Values, name string, absent, least, most int) (int, error) {
	given := values[name]
	if len(given) == 0 {
		return absent, nil
	}
	n, err := strconv.Atoi(given[0])
	if err != nil || len(given) > 1 || n < least || n > most {
		return 0, fmt.Errorf("%s: %.100q is not one number from %d to %d", name, strings.Join(given, ","), least, most)
	}
	return n, nil
}

// page returns the part of a list that q asks for, never nil, and how many
// entries pass the filter.
func page[T any](q query, all []T, word func(*T) string) (part []T, matched int) {
	part = []T{}
	for i := range all {
		if len(q.filter) > 0 && !slices.Contains(q.filter, word(&all[i])) {
			continue
		}
		if matched >= q.offset && len(part) < q.limit {
			part = append(part, all[i])
		}
		matched++
	}
	return part, matched
}
