package main

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"kigo/cpu"
)

// usableEngines lists the engines of this machine.
func usableEngines() (names []string) {
	for _, e := range cpu.Engines() {
		if e.Available {
			names = append(names, e.Name)
		}
	}
	return names
}

// TestPowOfMainnet runs all real trailers of the vectors through each engine.
func TestPowOfMainnet(t *testing.T) {
	var v struct {
		Trailers []struct {
			Block     uint64
			Trailer   string
			Algorithm string
			NeedsPow  bool    `json:"needs_pow"`
			FinalHash *string `json:"final_hash"`
			Verdict   string
		}
	}
	if err := json.Unmarshal(readFile(t, vectors+"pow/mainnet.json"), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Trailers) != 268 {
		t.Fatalf("%d trailers, want 268", len(v.Trailers))
	}
	var data []byte
	for _, tr := range v.Trailers {
		b, err := hex.DecodeString(tr.Trailer)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, b...)
	}
	file := writeTemp(t, "mainnet.bin", data)
	engines := usableEngines()
	if testing.Short() {
		engines = engines[:1]
	}
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			out := strings.Split(strings.TrimSpace(kigo(t, "pow", "--jsonl", "--engine", engine, file).want(t, 0)), "\n")
			if len(out) != len(v.Trailers) {
				t.Fatalf("%d lines, want %d", len(out), len(v.Trailers))
			}
			for i, tr := range v.Trailers {
				var got struct {
					Index, Block       uint64
					Algorithm, Verdict string
					Hash               *string
				}
				fromJSON(t, out[i], &got)
				algorithm, verdict, hash := tr.Algorithm, "valid", tr.FinalHash
				if !tr.NeedsPow {
					algorithm, verdict, hash = "none", "exempt", nil
				}
				if got.Index != uint64(i) || got.Block != tr.Block || got.Algorithm != algorithm || got.Verdict != verdict {
					t.Errorf("line %d: got %s, want block %d, %s, %s", i, out[i], tr.Block, algorithm, verdict)
				}
				if (got.Hash == nil) != (hash == nil) || hash != nil && *got.Hash != *hash {
					t.Errorf("line %d: got %s, want hash %v", i, out[i], hash)
				}
			}
			var report powReport
			fromJSON(t, kigoWith(t, data, "pow", "--json", "--engine", engine, "-").want(t, 0), &report)
			if report.Trailers != 268 || report.Valid+report.Exempt != 268 || report.Bad != 0 || len(report.Engines) != 1 || report.Engines[0] != engine {
				t.Errorf("got %+v", report)
			}
		})
	}
}

func TestPowOfBadTrailers(t *testing.T) {
	data := readFile(t, segment255)[:5*160]
	data[0*160+92] = 0  // no haiku
	data[3*160+60] ^= 1 // another Merkle root: the work is for naught
	file := writeTemp(t, "bad.bin", data)
	lines := strings.Split(strings.TrimSpace(kigo(t, "pow", "--jsonl", file).want(t, exitInvalid)), "\n")
	verdicts := map[int]string{0: "bad_nonce", 3: "bad_work"}
	for i, line := range lines {
		var got powLine
		var raw map[string]any
		if err := json.Unmarshal([]byte(line), &raw); err != nil {
			t.Fatal(err)
		}
		got.Verdict, _ = raw["verdict"].(string)
		if want := verdicts[i]; want != "" && got.Verdict != want {
			t.Errorf("line %d: %s, want %s", i, line, want)
		} else if want == "" && got.Verdict != "valid" && got.Verdict != "exempt" {
			t.Errorf("line %d: %s, want valid or exempt", i, line)
		}
		if i == 0 && raw["hash"] != nil {
			t.Errorf("line 0: %s, want no hash", line)
		}
	}
	o := kigo(t, "pow", file)
	contains(t, "the report", o.want(t, exitInvalid), "trailer 0, block 608001 (0x94701): EMCM_POWPEACH", "no haiku", "trailer 3", "leading zero bits", "2 bad")
}

func TestPowOfBrokenInput(t *testing.T) {
	whole := readFile(t, genesis)
	o := kigoWith(t, append(whole, 1, 2, 3), "pow", "--json", "-")
	contains(t, "the report", o.want(t, exitInvalid), `"trailers": 1`)
	contains(t, "the error", o.stderr, "EMCM_FILELEN", "3 bytes")
	o = kigoWith(t, nil, "pow", "-")
	o.want(t, exitInvalid)
	contains(t, "the error", o.stderr, "EMCM_FILEDATA")
}
