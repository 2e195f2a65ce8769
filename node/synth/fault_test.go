package synth

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
)

func fault(t testing.TB, s string) Fault {
	t.Helper()
	f, err := ParseFault(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func faults(t testing.TB, list string) (fs []Fault) {
	t.Helper()
	for _, s := range strings.Fields(list) {
		fs = append(fs, fault(t, s))
	}
	return fs
}

// TestEachKindBreaksItsRuleAlone makes a chain for each kind of fault at blocks
// of every sort, with few and with many worked blocks.
func TestEachKindBreaksItsRuleAlone(t *testing.T) {
	tested := map[string]bool{}
	for i := range kinds {
		k := &kinds[i]
		for _, near := range []mcm.BlockNum{0, 1, 2, 100, 254, 255, 256, 257} {
			block := nearest(k.at, near)
			if block > 600 || k.works && block < 5 {
				continue // TestFaultsOfLaterEras has those; difficulty starts at 0
			}
			for _, worked := range []float64{0, 0.3, 1} {
				c := Config{Blocks: int64(block) + 10, Worked: worked, Difficulty: 2, Seed: uint64(near), Faults: []Fault{{k.Name, block}}}
				if k.works && worked < 1 {
					continue
				}
				file, _ := generate(t, c)
				if got, want := check(t, file), wanted(c); !reflect.DeepEqual(got, want) {
					t.Errorf("%v, %v worked: found %v, want %v", c.Faults[0], worked, got, want)
				}
				tested[k.Name] = true
			}
		}
	}
	for _, name := range []string{"bhash", "stime-bridge", "stime-backwards", "time0", "anomaly"} {
		tested[name] = true // by TestFaultsOfLaterEras
	}
	for _, k := range Kinds() {
		if !tested[k.Name] {
			t.Errorf("no block was tried for %s", k.Name)
		}
	}
}

// TestFaultsAmongMixing has every kind in 0x4321 to 0x4521, where difficulties
// can wrap.
func TestFaultsAmongMixing(t *testing.T) {
	long(t)
	made := 0
	for seed := range uint64(12) {
		c := Config{Blocks: 0x4540, Worked: [...]float64{0, 0.4, 1}[seed%3], Difficulty: 1, Seed: seed, StartTime: startTime}
		for i := range kinds {
			k := &kinds[(i*7+int(seed))%len(kinds)]
			near := mcm.V20Trigger + mcm.BlockNum(14*i)
			if i%4 == 0 {
				near = 0x4400 + 0x100*mcm.BlockNum(i/4%2)
			}
			f := Fault{k.Name, nearest(k.at, near)}
			with := c
			with.Faults = append(slices.Clone(c.Faults), f)
			if with.Validate() == nil && with.rehearse(t.Context()) == nil {
				c = with
				made++
			}
		}
		file, _ := generate(t, c)
		if got, want := check(t, file), wanted(c); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: found %v, want %v", seed, got, want)
		}
	}
	if made < 100 {
		t.Errorf("%d faults were made, want 100 or more", made)
	}
}

// TestFaultsOfLaterEras has one long chain with a fault at each side of each
// trigger.
func TestFaultsOfLaterEras(t *testing.T) {
	long(t)
	// A fault that makes its block a standard block leaves a difficulty of 1 to
	// the next, which lets pow-work and pow-flip do their part.
	list := `genhash@0 mfee-low@39 pow-work@40 diff-neogenesis@0x4400 mfee-low@0x444f pow-flip@0x4450 mroot@0x4470
		stime-future@0xd430 stime-equal@0xd440 stime-bridge@0xd450 stime-backwards@0xd452 pow-nonce@0xd460
		pow-nonce@0x12850 pow-work@0x12851 pow-flip@0x12852
		pow-nonce@0x12860 pow-nonce-second@0x12863 pow-nonce@0x12870 pow-work@0x12871
		stime-bridge@0x1b7ff stime-backwards@0x1b8ff time0@0x1b9ff
		anomaly@0x52d3c
		mroot@0xa0600 nonce@0xa06fe stime-pseudo@0xa06ff bhash@0xa0700 stime-bridge@0xa0701 stime-pseudo@0xa0703
		stime-backwards@0xa0720 stime-equal@0xa0722 pow-nonce@0xa073f pow-work@0xa0740 pow-flip@0xa0741
		phash@0xa0750 phash@0xa0752 mfee-low@0xa0760 mfee-exempt@0xa0762 tcount-high@0xa0764 nonce@0xa0766
		diff@0xa0770 time0@0xa0772 bhash@0xa0774 bhash@0xa0775
		mfee-exempt@0xa0800 tcount-neogenesis@0xa0900 nonce@0xa0a00 time0-neogenesis@0xa0b00
		diff-neogenesis@0xa0c00 stime-neogenesis@0xa0d00 diff-high@0xa0d80 bnum@0xa0e05 file-short@0xa0f00`
	c := Config{Blocks: 0xa1000, Worked: 0.02, Difficulty: 1, Seed: 8, Faults: faults(t, list)}
	file, s := generate(t, c)
	got, want := check(t, file), wanted(c)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found\n%v\nwant\n%v", got, want)
	}
	seen := map[rules.Rule]bool{}
	for _, f := range want {
		seen[f.rule] = true
	}
	if !seen[rules.PowTrigg] || !seen[rules.PowPeach] || !seen[rules.PowAnomaly] {
		t.Errorf("a proof of work is missing in %v", want)
	}
	if s.Trailers != 0xa0f00 || s.Last != 0xa0eff+256 || s.Bytes <= 0xa0f00*mcm.TrailerLen || s.Bytes != int64(len(file)) {
		t.Errorf("stats are %+v of a file of %d bytes that is cut within block 0xa0f00, with numbers 256 too high", s, len(file))
	}

	at := func(block mcm.BlockNum) *mcm.Trailer { return &mcm.Trailers(file[:0xa0f00*mcm.TrailerLen])[block] }
	for _, block := range []mcm.BlockNum{0x12851, 0x12871, 0xa0740} {
		var r [1]verify.Result
		if err := (standIn{}).VerifyPoW(t.Context(), r[:], []mcm.Trailer{*at(block)}); err != nil {
			t.Fatal(err)
		}
		if got, d := r[0].Hash.LeadingZeroBits(), int(at(block).WorkDifficulty()); got != d-1 {
			t.Errorf("pow-work: the hash of block %v has %d zero bits, want one less than the difficulty %d", block, got, d)
		}
	}
	if !pow.NonceSyntax(at(0x12852)) {
		t.Error("pow-flip left something that is no haiku")
	}
	for block, half := range map[mcm.BlockNum]int{0x12860: 0, 0x12863: 1} {
		first, second := pow.Halves(at(block))
		if ok := [2]bool{first.Syntax(), second.Syntax()}; ok[half] || !ok[1-half] {
			t.Errorf("block %v: halves are haikus: %v, want half %d alone spoiled", block, ok, half)
		}
	}
}

func TestFilesCutShort(t *testing.T) {
	for _, c := range []struct {
		fault     string
		trailers  int64
		low, high int // bytes
	}{
		{"file-empty@0", 0, 0, 0},
		{"file-short@0", 0, 1, 159},
		{"file-short@1", 1, 161, 319},
		{"file-short@499", 499, 499*160 + 1, 499*160 + 159},
	} {
		file, s := generate(t, Config{Blocks: 500, Worked: 0.5, Difficulty: 1, Faults: faults(t, c.fault)})
		if len(file) < c.low || len(file) > c.high || s.Trailers != c.trailers || s.Bytes != int64(len(file)) {
			t.Errorf("%s: %d bytes and %+v, want %d to %d and %d trailers", c.fault, len(file), s, c.low, c.high, c.trailers)
		}
	}
}

func TestRefusedConfigs(t *testing.T) {
	base := Config{Blocks: 2000, Worked: 1, Difficulty: 1, StartTime: startTime}
	f := func(name string, change func(*Config), want string) {
		t.Helper()
		c := base
		change(&c)
		var out bytes.Buffer
		_, err := Generate(t.Context(), &out, c)
		if err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: %d bytes, error %v, want one with %q", name, out.Len(), err, want)
		}
	}
	f("no blocks", func(c *Config) { c.Blocks = 0 }, "blocks 0: want 1 to 4294967296")
	f("too many", func(c *Config) { c.Blocks = 1<<32 + 1 }, "blocks 4294967297: want 1 to 4294967296")
	f("share", func(c *Config) { c.Worked = 1.5 }, "worked 1.5: want a share from 0 to 1")
	f("late", func(c *Config) { c.StartTime = 1<<32 - 1 }, "start-time 4294967295: want 0 to 4294963199")
	f("both", func(c *Config) { c.Blocks, c.Worked = -1, -1 }, "worked -1")

	g := func(list, want string) {
		t.Helper()
		f(list, func(c *Config) { c.Faults = faults(t, list) }, want)
	}
	f("unknown", func(c *Config) { c.Faults = []Fault{{"pow", 1}} }, `fault pow@1: kind "pow" is unknown, want one of nzgen,`)
	g("pow-work@2000", "fault pow-work@2000: want a block from 0 to 1999, the last of 2000 blocks")
	g("phash@0xffffffffffffffff", "want a block from 0 to 1999")
	g("pow-work@512", "fault pow-work@512: block 512 (0x200) is a neogenesis block; it applies to any block but those ending in 00 whose difficulty is 1 or more, made a standard block, the nearest is block 513")
	g("nzgen@5", "fault nzgen@5: block 5 (0x5) is a standard block or a pseudoblock; it applies to block 0, the nearest is block 0")
	g("phash@0", "block 0 is the genesis block; it applies to any block from 1 on, the nearest is block 1")
	g("bhash@5", "the nearest is block 657152")
	g("time0-neogenesis@700", "the nearest is block 768")
	g("stime-bridge@700", "the nearest is block 54322")
	g("anomaly@700", "the nearest is block 339260")
	g("diff@5 phash@5", "fault phash@5: block 5 has fault diff already")
	g("bnum@5 phash@7", "fault phash@7: bnum@5 renumbers all blocks behind it")
	g("file-short@5 phash@7", "fault phash@7: the file ends at file-short@5")
	g("file-short@5 phash@5", "fault phash@5: block 5 has fault file-short already")
	g("phash@0 nzgen@1", "fault nzgen@1") // all are reported
	g("stime-future@20 phash@21", "fault phash@21: block 21 has to come back from the future")
	f("no difficulty", func(c *Config) { c.Worked, c.Faults = 0, faults(t, "pow-work@300") },
		"fault pow-work@300: block 300 has difficulty 0; want one of difficulty 1 or more, the nearest is block 1")
	f("difficulty ahead", func(c *Config) { c.Worked, c.Faults = 0, faults(t, "pow-flip@300 diff@302") },
		"the nearest is block 1") // what diff@302 would add is not counted on
	f("no difficulty at all", func(c *Config) { c.Worked, c.Faults, c.Blocks, c.Seed = 0, faults(t, "diff@1 pow-flip@2"), 3, 1 },
		"fault pow-flip@2: block 2 has difficulty 0 and so have all others")
}

// TestNearestWork looks ahead of the fault as well as behind it.
func TestNearestWork(t *testing.T) {
	c := Config{Blocks: 1000, Worked: 0.3, Difficulty: 1, Seed: 3, StartTime: startTime}
	file, _ := generate(t, c)
	trailers := mcm.Trailers(file)
	hard := func(n mcm.BlockNum) bool {
		return n < mcm.BlockNum(len(trailers)) && !n.IsNeogenesis() && trailers[n].WorkDifficulty() > 0
	}
	ahead, behind := false, false
	for n := mcm.BlockNum(10); n < 900; n += 5 {
		if n.IsNeogenesis() {
			continue
		}
		c.Faults = []Fault{{"pow-work", n}}
		err := c.rehearse(t.Context())
		if hard(n) {
			if err != nil {
				t.Errorf("block %d of difficulty %d: %v", n, trailers[n].WorkDifficulty(), err)
			}
			continue
		}
		d := mcm.BlockNum(1)
		for !hard(n+d) && !hard(n-d) {
			d++
		}
		at := n + d
		if hard(n - d) {
			at = n - d
		}
		ahead, behind = ahead || at > n, behind || at < n
		c.Faults = []Fault{{"pow-work", at}}
		if again := c.rehearse(t.Context()); again != nil {
			t.Errorf("block %d is named for %d, but: %v", at, n, again)
		}
		if want := "the nearest is block " + strings.TrimPrefix(Fault{"", at}.String(), "@"); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("block %d: %v, want %q", n, err, want)
		}
	}
	if !ahead || !behind {
		t.Errorf("blocks ahead were tried: %v, behind: %v", ahead, behind)
	}
}

func TestParseFault(t *testing.T) {
	f := func(s string, want Fault) {
		t.Helper()
		got, err := ParseFault(s)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	f("phash@0", Fault{"phash", 0})
	f("pow-work@1000", Fault{"pow-work", 1000})
	f("bhash@0xA0700", Fault{"bhash", 0xa0700})
	f("bhash@0x0a0701", Fault{"bhash", 0xa0701})
	f("diff@010", Fault{"diff", 10})
	f("diff@18446744073709551615", Fault{"diff", 1<<64 - 1})

	bad := func(s, want string) {
		t.Helper()
		if got, err := ParseFault(s); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fault ") {
			t.Errorf("%q: %v, %v, want an error with %q", s, got, err, want)
		}
	}
	bad("", "want KIND@BLOCK")
	bad("phash", "want KIND@BLOCK")
	bad("@5", `kind "" is unknown`)
	bad("PHASH@5", `kind "PHASH" is unknown`)
	bad("phash@", "want a number")
	bad("phash@-1", "want a number")
	bad("phash@+1", "want a number")
	bad("phash@1_000", "want a number")
	bad("phash@0x", "want a number")
	bad("phash@0x+1", "want a number")
	bad("phash@0b1", "want a number")
	bad("phash@a0", "want a number")
	bad("phash@5@6", "want a number")
	bad("phash@ 5", "want a number")
	bad("phash@18446744073709551616", "below 2^64")
}

func FuzzParseFault(f *testing.F) {
	for _, k := range kinds {
		f.Add(k.Name + "@0x100")
	}
	f.Add("phash@5@6")
	f.Add("diff@18446744073709551616")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFault(s)
		if err != nil {
			if got != (Fault{}) {
				t.Errorf("%q: %v along with error %v", s, got, err)
			}
			return
		}
		again, err := ParseFault(got.String())
		if err != nil || again != got {
			t.Errorf("%q: %v reads back as %v, %v", s, got, again, err)
		}
		if got.Rule() == "" {
			t.Errorf("%q: no rule", s)
		}
		// No fault makes a check panic or a chain of a few blocks go wrong.
		c := Config{Blocks: 400, Worked: 0.5, Difficulty: 1, Faults: []Fault{got}, StartTime: startTime}
		if c.Validate() == nil && c.rehearse(t.Context()) == nil {
			file, _ := generate(t, c)
			if found, want := check(t, file), wanted(c); !reflect.DeepEqual(found, want) {
				t.Errorf("%q: found %v, want %v", s, found, want)
			}
		}
	})
}

func TestKindsAreDescribed(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kinds() {
		if k.Summary == "" || k.Where == "" || k.Rule.Meaning() == "" || names[k.Name] {
			t.Errorf("kind %+v lacks a unique name, a summary, a place or a rule", k.Name)
		}
		names[k.Name] = true
		if strings.ContainsAny(k.Name, "@ ,") {
			t.Errorf("name %q can't be parsed", k.Name)
		}
	}
	list := Kinds()
	list[0].Name = "changed"
	if Kinds()[0].Name == "changed" {
		t.Error("Kinds hands out the package's own list")
	}
}

func TestFaultRule(t *testing.T) {
	f := func(s string, want rules.Rule) {
		t.Helper()
		if got := fault(t, s).Rule(); got != want {
			t.Errorf("%s breaks %s, want %s", s, got, want)
		}
	}
	f("phash@5", rules.PrevHash)
	f("pow-work@0x12851", rules.PowTrigg)
	f("pow-work@0x12852", rules.PowPeach)
	f("pow-nonce@0x52d3b", rules.PowPeach)
	f("pow-nonce@0x52d3c", rules.PowAnomaly)
	f("anomaly@0x52d3c", rules.PowAnomaly)
	f("file-short@5", rules.FileLen)
	f("file-short@0", rules.FileData)
	f("file-empty@0", rules.FileData)
	if got := (Fault{"none", 5}).Rule(); got != "" {
		t.Errorf("an unknown kind breaks %s", got)
	}
}
