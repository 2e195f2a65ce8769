package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// reasons are the mutants that may survive, by key, and how many there are of
// each.
type reasons map[string]int

// take reports whether a mutant with the key may survive, and uses up its
// reason.
func (r reasons) take(key string) bool {
	if r[key] == 0 {
		return false
	}
	if r[key]--; r[key] == 0 {
		delete(r, key)
	}
	return true
}

// readAllowed reads entries in the form in which survivors are printed, each
// followed by why no test can notice it:
//
//	file function
//	- the original text
//	+ the changed text
//	reason, in one or more lines
//
// Blank lines stand between entries; lines that begin with # are skipped.
func readAllowed(name string) (reasons, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	allowed := reasons{}
	var entry []string
	end := func() error {
		if len(entry) == 0 {
			return nil
		}
		if len(entry) < 4 || !strings.HasPrefix(entry[1], "- ") || !strings.HasPrefix(entry[2], "+ ") {
			return fmt.Errorf("%s: entry %q: want a place, a - line, a + line and a reason", name, entry[0])
		}
		allowed[strings.Join(entry[:3], "\n")]++
		entry = nil
		return nil
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		switch line := strings.TrimSpace(lines.Text()); {
		case line == "":
			if err := end(); err != nil {
				return nil, err
			}
		case !strings.HasPrefix(line, "#"):
			entry = append(entry, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return allowed, end()
}
