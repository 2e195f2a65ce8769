package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// settingsOf returns what kigo config print says, by key: value and origin.
func settingsOf(t *testing.T, args ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(kigo(t, append([]string{"config", "print"}, args...)...).want(t, exitOK)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			all[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	return all
}

func TestNetworkSettingsPrecedence(t *testing.T) {
	file := writeTemp(t, "kigo.yaml", []byte(`network:
  port: 3000
  peers: [127.0.0.1, peer.example.org]
  private: true
scan:
  timeout: 90s
  quorum-peers: 5
api:
  listen: 127.0.0.1:2096
`))
	check := func(got map[string]string, key, want string) {
		t.Helper()
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	got := settingsOf(t)
	check(got, "network.port", "2095 default")
	check(got, "network.peers", "- default")
	check(got, "scan.timeout", "5m0s default")
	check(got, "data.dir", "- default")
	got = settingsOf(t, "--config", file)
	check(got, "network.port", "3000 file "+file)
	check(got, "network.peers", "127.0.0.1,peer.example.org file "+file)
	check(got, "network.private", "true file "+file)
	check(got, "scan.timeout", "1m30s file "+file)
	check(got, "api.listen", "127.0.0.1:2096 file "+file)
	t.Setenv("KIGO_NETWORK_PEERS", "10.0.0.1,10.0.0.2")
	t.Setenv("KIGO_NETWORK_CORE_FILE", "start.lst")
	t.Setenv("KIGO_SCAN_TIMEOUT", "2m")
	t.Setenv("KIGO_SCAN_QUORUM_PEERS", "4")
	got = settingsOf(t, "--config", file)
	check(got, "network.peers", "10.0.0.1,10.0.0.2 environment KIGO_NETWORK_PEERS")
	check(got, "network.core-file", "start.lst environment KIGO_NETWORK_CORE_FILE")
	check(got, "scan.timeout", "2m0s environment KIGO_SCAN_TIMEOUT")
	check(got, "scan.quorum-peers", "4 environment KIGO_SCAN_QUORUM_PEERS")

	// Flags come before them all; only commands that scan have them.
	root := newRoot(nil, nil, nil)
	cmd, rest, err := root.Find([]string{"scan", "--peer", "10.0.0.3", "--peer", "10.0.0.4", "--timeout", "7s", "--quorum-peers", "6", "--port", "4000", "--private=false", "--listen", "127.0.0.1:1", "--data-dir", "d", "--config", file})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Fatal(err)
	}
	s := settings{file: file}
	if err := s.load(cmd.Flags()); err != nil {
		t.Fatal(err)
	}
	c := s.conf
	if strings.Join(c.Network.Peers, ",") != "10.0.0.3,10.0.0.4" || c.Network.Port != 4000 || c.Network.Private ||
		c.Scan.Timeout != 7*time.Second || c.Scan.QuorumPeers != 6 || c.API.Listen != "127.0.0.1:1" || c.Data.Dir != "d" {
		t.Errorf("the flags give %+v", c)
	}
	if s.from["network.peers"] != "flag --peer" || s.from["scan.quorum-groups"] != "default" {
		t.Errorf("origins are %v", s.from)
	}
}

func TestBadNetworkSettings(t *testing.T) {
	t.Setenv("KIGO_SCAN_RETRY", "5") // which flags and files don't say
	contains(t, "a bad variable", kigo(t, "config", "check").stderr, `scan.retry: "5" is not a duration with its unit, such as 90s or 5m (environment KIGO_SCAN_RETRY)`)
	os.Unsetenv("KIGO_SCAN_RETRY")
	contains(t, "a bad flag", kigo(t, "scan", "--timeout", "-5s").stderr, "scan.timeout: -5s is not between 1s and 1h (flag --timeout)")
	for _, c := range []struct {
		yaml string
		says []string // nothing: it is good
	}{
		{"network: {port: 0}", []string{"network.port: 0", "between 1 and 65535"}},
		{"network: {port: 65536}", []string{"network.port: 65536"}},
		{"network: {port: 65535}", nil},
		{"network: {group-bits: 0}", []string{"network.group-bits: 0", "between 1 and 32"}},
		{"network: {group-bits: 33}", []string{"network.group-bits: 33"}},
		{"network: {group-bits: 32}", nil},
		{"network: {peers: [1.2.3.4, a.b-c.example., localhost]}", nil},
		{"network: {peers: [1.2.3]}", []string{`network.peers: "1.2.3"`, "IPv4 address or a host name"}},
		{"network: {peers: [1.2.3.256]}", []string{`"1.2.3.256"`}},
		{"network: {peers: [0.0.0.0]}", []string{`"0.0.0.0" is not an address that a host can have`}},
		{"network: {peers: [224.0.0.1]}", []string{`"224.0.0.1"`}},
		{"network: {peers: ['::1']}", []string{`"::1"`, "no IPv6"}},
		{"network: {peers: ['1.2.3.4:2095']}", []string{`"1.2.3.4:2095"`, "network.port", "--port 2095"}},
		{"network: {peers: ['a b']}", []string{`"a b"`}},
		{"network: {peers: ['-a.example']}", []string{`"-a.example"`}},
		{"network: {peers: ['']}", []string{`""`}},
		{"network: {peers: [" + strings.Repeat("a.", 127) + "aa]}", []string{"network.peers"}},
		{"network: {prot: 1}", []string{"network.prot", "did you mean network.port?"}},
		{"scan: {quorum-peers: 0}", []string{"scan.quorum-peers: 0", "between 1 and 4096 (file "}},
		{"scan: {quorum-groups: 0}", []string{"scan.quorum-groups: 0"}},
		{"scan: {quorum-peers: 1, quorum-groups: 1}", nil},
		{"scan: {quorum-peers: 2}", []string{"scan.quorum-groups: 3", "scan.quorum-peers (2)"}},
		{"scan: {parallel: 0}", []string{"scan.parallel: 0"}},
		{"scan: {parallel: 4097}", []string{"scan.parallel: 4097"}},
		{"scan: {timeout: 999ms}", []string{"scan.timeout: 999ms", "between 1s and 1h"}},
		{"scan: {timeout: 61m}", []string{"scan.timeout: 1h1m0s"}},
		{"scan: {timeout: soon, retry: 90}", []string{`scan.timeout: "soon" is not a duration with its unit, such as 90s`, "scan.retry: 90 is not a duration"}},
		{"scan: {parallel: 1.5, quorum-peers: many, quorum-groups: [3]}", []string{"scan.parallel: 1.5 is not a whole number", `scan.quorum-peers: "many" is not`, "scan.quorum-groups: [3] is not"}},
		{"scan: {parallel: '12'}", nil},
		{"verify: {audit-rate: often}", []string{`verify.audit-rate: "often" is not a number`}},
		{"verify: {audit-rate: 1, workers: true}", []string{"verify.workers: true is not a whole number"}},
		{"network: {private: maybe}", []string{`network.private: "maybe" is not true or false`}},
		{"network: {private: 'true', peers: 1.2.3.4}", nil},
		{"network: {peers: [1.2]}", []string{"network.peers: [1.2] is not a list of texts"}},
		{"network: {peers: {a: b}}", []string{"network.peers"}},
		{"data: {dir: 5}", []string{"data.dir: 5 is not text", "quotes"}},
		{"data: {dir: }", nil},
		{"scan: {retry: -1s}", []string{"scan.retry: -1s"}},
		{"scan: {retry: 0s}", []string{"scan.retry: 0s", "between 1ms and 1m"}},
		{"scan: {retry: 1ms}", nil},
		{"api: {listen: '127.0.0.1:2096'}", nil},
		{"api: {listen: '[::1]:9095'}", nil},
		{"api: {listen: 'localhost:0'}", nil},
		{"api: {listen: '0.0.0.0:9095'}", []string{`"0.0.0.0:9095"`, "loopback"}},
		{"api: {listen: ':9095'}", []string{`":9095"`, "loopback"}},
		{"api: {listen: '192.168.0.1:9095'}", []string{`"192.168.0.1:9095"`, "loopback"}},
		{"api: {listen: '127.0.0.1'}", []string{`"127.0.0.1"`, "host:port"}},
		{"api: {listen: '127.0.0.1:http2'}", []string{`127.0.0.1:http2`}},
		{"api: {pprof-listen: '127.0.0.1:2097'}", nil},
		{"api: {pprof-listen: '0.0.0.0:2097'}", []string{"api.pprof-listen", `"0.0.0.0:2097"`, "loopback"}},
		{"api: {listen: '127.0.0.1:2096', pprof-listen: '127.0.0.1:2096'}", []string{`api.pprof-listen: "127.0.0.1:2096"`, "api.listen"}},
		{"api: {listen: '127.0.0.1:0', pprof-listen: '127.0.0.1:0'}", nil},
	} {
		o := kigo(t, "config", "check", writeTemp(t, "kigo.yaml", []byte(c.yaml+"\n")))
		if c.says == nil {
			o.want(t, exitOK)
			continue
		}
		if o.code != exitUsage {
			t.Errorf("%s: exit code %d, want %d", c.yaml, o.code, exitUsage)
		}
		contains(t, c.yaml, o.stderr, c.says...)
	}
}
