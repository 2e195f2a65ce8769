package api

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

var colours = []string{"red", "green", "blue"}

func TestParseQuery(t *testing.T) {
	ok := func(raw string, limit, offset int, filter ...string) {
		t.Helper()
		q, err := parseQuery(raw, maxLimit, "colour", colours)
		if err != nil || q.limit != limit || q.offset != offset || !slices.Equal(q.filter, filter) {
			t.Errorf("%q: %+v, %v", raw, q, err)
		}
	}
	ok("", defaultLimit, 0)
	ok("limit=1", 1, 0)
	ok("limit=1000&offset=7", 1000, 7)
	ok("offset=2147483647", defaultLimit, 1<<31-1)
	ok("colour=red", defaultLimit, 0, "red")
	ok("colour=red,blue", defaultLimit, 0, "red", "blue")
	ok("colour=blue&colour=red,blue", defaultLimit, 0, "blue", "red")
	ok("colour=%72ed", defaultLimit, 0, "red")

	// Every refusal names the parameter, the value and what is allowed.
	bad := func(raw string, names ...string) {
		t.Helper()
		q, err := parseQuery(raw, maxLimit, "colour", colours)
		if err == nil {
			t.Errorf("%q passes: %+v", raw, q)
			return
		}
		for _, n := range names {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("%q: %q lacks %q", raw, err, n)
			}
		}
	}
	bad("limit=0", "limit", `"0"`, "1 to 1000")
	bad("limit=-1", "limit", `"-1"`, "1 to 1000")
	bad("limit=1001", "limit", `"1001"`)
	bad("limit=", "limit", `""`)
	bad("limit=ten", "limit", `"ten"`)
	bad("limit=1e2", "limit")
	bad("limit=99999999999999999999", "limit")
	bad("limit=1&limit=2", "limit", "1,2", "one number")
	bad("offset=-1", "offset", `"-1"`, "0 to 2147483647")
	bad("offset=2147483648", "offset")
	bad("colour=", "colour", `""`, "red, green, blue")
	bad("colour=mauve", "colour", `"mauve"`, "red, green, blue")
	bad("colour=red,,blue", "colour", `""`)
	bad("colour=RED", `"RED"`)
	bad("color=red", "unknown", `"color"`, "limit, offset, colour")
	bad("colour=red;limit=1", "query")
	bad("limit=%zz", "query")
	if _, err := parseQuery("colour="+strings.Repeat("x", 5000), maxLimit, "colour", colours); err == nil || len(err.Error()) > 300 {
		t.Errorf("a long value is repeated in full, or passes")
	}

	if q, err := parseQuery("", maxBranches, "", nil); err != nil || q.limit != maxBranches {
		t.Errorf("a page of a list with small pages: %+v, %v", q, err)
	}
	if _, err := parseQuery("limit=51", maxBranches, "", nil); err == nil || !strings.Contains(err.Error(), "1 to 50") {
		t.Errorf("a page that is too large: %v", err)
	}
	if _, err := parseQuery("=red", maxLimit, "", nil); err == nil {
		t.Error("a parameter without a name passes where there is no filter")
	}
	if _, err := parseQuery("colour=red", maxLimit, "", nil); err == nil || !strings.Contains(err.Error(), "limit, offset") {
		t.Errorf("a filter passes where there is none: %v", err)
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=1", "limit=1&offset=2&colour=red,blue", "colour=%72ed", "a=b;c", "limit=+1", "%", "&&="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, maxLimit, "colour", colours)
		if err != nil {
			if len(err.Error()) > 1000+4*len(raw) {
				t.Errorf("error of %d bytes for %d", len(err.Error()), len(raw))
			}
			return
		}
		if q.limit < 1 || q.limit > maxLimit || q.offset < 0 || len(q.filter) > len(colours) {
			t.Errorf("%q: %+v", raw, q)
		}
		for _, w := range q.filter {
			if !slices.Contains(colours, w) {
				t.Errorf("%q: filter %q", raw, w)
			}
		}
		if _, err := url.ParseQuery(raw); err != nil {
			t.Errorf("%q passes and is no query: %v", raw, err)
		}
	})
}

func TestPage(t *testing.T) {
	all := []string{"red", "green", "red", "blue", "red"}
	word := func(s *string) string { return *s }
	f := func(q query, matched int, want ...string) {
		t.Helper()
		got, n := page(q, all, word)
		if got == nil || n != matched || !slices.Equal(got, want) {
			t.Errorf("%+v: %q of %d, want %q of %d", q, got, n, want, matched)
		}
	}
	f(query{limit: 9}, 5, all...)
	f(query{limit: 2}, 5, "red", "green")
	f(query{limit: 2, offset: 3}, 5, "blue", "red")
	f(query{limit: 2, offset: 4}, 5, "red")
	f(query{limit: 2, offset: 5}, 5)
	f(query{limit: 2, offset: 1 << 30}, 5)
	f(query{limit: 2, filter: []string{"red"}}, 3, "red", "red")
	f(query{limit: 9, offset: 1, filter: []string{"blue", "red"}}, 4, "red", "blue", "red")
	f(query{limit: 9, filter: []string{"mauve"}}, 0)
}
