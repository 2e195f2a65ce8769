package chainsync_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has more tests run at a time than there are cores: most of them wait for
// peers that are silent.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == flag.Lookup("test.parallel").DefValue {
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
