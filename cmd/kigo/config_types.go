package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mistyped returns what is wrong with the types of values, each with its key, the
// value and what is allowed.  viper would name fields of Go instead, and take 1.5
// for 1.
func (s *settings) mistyped() error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		value := s.viper.Get(key)
		if want := wants(value, defaults[key]); want != "" {
			errs = append(errs, fmt.Errorf("%s: %s is not %s", key, spelled(value), want))
		}
	}
	return errors.Join(errs...)
}

// wants says what a value should be to stand in for one like def, and nothing if it
// can.  Values come from YAML, or as text.
func wants(value, def any) string {
	text, isText := value.(string)
	parses := func(err error) bool { return isText && err == nil }
	ok, want := true, ""
	switch def.(type) {
	case time.Duration:
		_, ok = value.(time.Duration)
		_, err := time.ParseDuration(text)
		ok, want = ok || parses(err), "a duration with its unit, such as 90s or 5m"
	case int:
		_, ok = value.(int)
		_, err := strconv.Atoi(text)
		ok, want = ok || parses(err), "a whole number"
	case float64:
		switch value.(type) {
		case float64, int:
		default:
			_, err := strconv.ParseFloat(text, 64)
			ok = parses(err)
		}
		want = "a number"
	case bool:
		_, ok = value.(bool)
		_, err := strconv.ParseBool(text)
		ok, want = ok || parses(err), "true or false"
	case string:
		ok, want = isText, "text; numbers and the like need quotes"
	case []string:
		switch list := value.(type) {
		case string, []string:
		case []any:
			ok = !slices.ContainsFunc(list, func(v any) bool { _, is := v.(string); return !is })
		default:
			ok = false
		}
		want = "a list of texts, such as [a, b]"
	}
	if ok {
		return ""
	}
	return want
}

// spelled writes a value as a config file would, more or less.
func spelled(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, spelled(one))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return fmt.Sprint(value)
}
