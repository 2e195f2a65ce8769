package verifytest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Require skips the test unless ok, saying why.  When KIGO_TEST_REQUIRE, a list
// with commas, has name, it fails instead: so a machine that is meant to have
// AVX-512 or a GPU can't pass by skipping.
func Require(t testing.TB, name string, ok bool, reason string) {
	t.Helper()
	if ok {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("KIGO_TEST_REQUIRE"), ","), name) {
		t.Fatalf("%s: %s, and KIGO_TEST_REQUIRE asks for it", name, reason)
	}
	t.Skipf("%s: %s", name, reason)
}
