package wire

import "testing"

func TestErrorText(t *testing.T) {
	seen := map[string]ErrorKind{"unknown packet error": 0}
	for _, k := range []ErrorKind{CRC, BadNetwork, BadMark, BadIDs, TooLong, BadLength} {
		if other, ok := seen[k.String()]; ok || k == 0 {
			t.Errorf("kinds %d and %d are both %q", other, k, k)
		}
		seen[k.String()] = k
	}
	if got := ErrorKind(0).String(); got != "unknown packet error" {
		t.Errorf("no kind is %q", got)
	}
	_, err := ParseAddrs(make([]byte, 260))
	if want := "wrong length: an address list of 260 bytes, expected a multiple of 4, at most 256"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}
