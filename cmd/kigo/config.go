package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"kigo/cpu"
	"kigo/node/verify"
	"kigo/node/wire"
)

// A Config is all that can be set; docs/commands.md tells how.
type Config struct {
	Verify  VerifyConfig
	Network NetworkConfig
	Scan    ScanConfig
	Chain   ChainConfig
	Data    DataConfig
	Node    NodeConfig
	API     APIConfig
	Log     LogConfig
}

// A VerifyConfig says how proof of work is checked.
type VerifyConfig struct {
	// Engine lists the engines to use, all that work when empty.
	Engine []string
	// Disable lists engines never to use.
	Disable []string
	// Workers is how many processor cores to use, all when 0.
	Workers int
	// AuditRate is the share of good verdicts of SIMD engines and GPUs that the
	// portable engine repeats.
	AuditRate float64 `mapstructure:"audit-rate"`
}

// A LogConfig says what is logged to stderr.
type LogConfig struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// defaults are the values of all keys.  viper only unmarshals environment
// variables of keys it knows, so each one is named here.
var defaults = map[string]any{
	"verify.engine":      []string{},
	"verify.disable":     []string{},
	"verify.workers":     0,
	"verify.audit-rate":  verify.DefaultSample,
	"network.port":       wire.DefaultPort,
	"network.peers":      []string{},
	"network.core-file":  "",
	"network.private":    false,
	"network.group-bits": 16,
	"scan.quorum-peers":  3,
	"scan.quorum-groups": 3,
	"scan.parallel":      256,
	"scan.timeout":       5 * time.Minute,
	"scan.retry":         5 * time.Second,
	"chain.base":         "",
	"chain.pin":          "",
	"chain.floor":        "",
	"data.dir":           "",
	"data.import":        "",
	"node.listen":        "",
	"node.announce":      false,
	"node.poll":          10 * time.Second,
	"node.stale":         10 * time.Minute,
	"node.rescan":        30 * time.Minute,
	"api.listen":         "",
	"api.pprof-listen":   "",
	"log.level":          "info",
	"log.format":         "text",
}

// flagKeys says which flag sets which key, where a command has the flag.
var flagKeys = map[string]string{
	"engine":        "verify.engine",
	"workers":       "verify.workers",
	"port":          "network.port",
	"peer":          "network.peers",
	"core-file":     "network.core-file",
	"private":       "network.private",
	"quorum-peers":  "scan.quorum-peers",
	"quorum-groups": "scan.quorum-groups",
	"timeout":       "scan.timeout",
	"retry":         "scan.retry",
	"data-dir":      "data.dir",
	"import":        "data.import",
	"listen-peer":   "node.listen",
	"listen":        "api.listen",
	"pprof-listen":  "api.pprof-listen",
	"log-level":     "log.level",
}

//go:embed kigo.sample.yaml
var sampleConfig string

// settings is the config with where each value comes from.
type settings struct {
	file  string // --config
	conf  Config
	from  map[string]string // flag --x, environment KIGO_X, file F, default
	viper *viper.Viper
}

// load reads flags, environment, file and defaults, in this order of
// precedence, and checks the result.
func (s *settings) load(flags *pflag.FlagSet) error {
	v := viper.New()
	s.viper = v
	for key, value := range defaults {
		v.SetDefault(key, value)
	}
	v.SetEnvPrefix("kigo")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	v.AutomaticEnv()
	for flag, key := range flagKeys {
		if f := flags.Lookup(flag); f != nil {
			if err := v.BindPFlag(key, f); err != nil {
				return err
			}
		}
	}
	if err := s.readFile(); err != nil {
		return err
	}
	if err := checkEnvironment(os.Environ()); err != nil {
		return err
	}
	s.trace(flags)
	if err := s.mistyped(); err != nil {
		return usagef("%v", s.sourced(err))
	}
	if err := v.UnmarshalExact(&s.conf); err != nil {
		return usagef("config: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	if err := s.conf.Validate(); err != nil {
		return usagef("%v", s.sourced(err))
	}
	return nil
}

// readFile reads the named file, or the first of the usual ones that exists.
func (s *settings) readFile() error {
	names := []string{s.file}
	if s.file == "" {
		names = nil
		if dir, err := os.UserConfigDir(); err == nil {
			names = append(names, filepath.Join(dir, "kigo", "kigo.yaml"))
		}
		names = append(names, "/etc/kigo/kigo.yaml")
	}
	for _, name := range names {
		s.viper.SetConfigFile(name)
		s.viper.SetConfigType("yaml") // whatever it is called
		err := s.viper.ReadInConfig()
		if s.file == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			continue // nobody asked for it, or it is another user's
		}
		if err != nil {
			return usagef("config file %s: %v", name, err)
		}
		s.file = name
		for _, key := range s.viper.AllKeys() {
			if _, known := defaults[key]; !known {
				return usagef("config file %s: unknown key %s%s", name, key, suggest(key, slices.Collect(maps.Keys(defaults))))
			}
		}
		return nil
	}
	return nil
}

// checkEnvironment refuses KIGO_ variables that set nothing, since a misspelled
// one would be passed over in silence.  KIGO_TEST_ ones belong to the tests, and
// KIGO_FAKE_ ones to the fake CUDA driver.
func checkEnvironment(environ []string) error {
	var known []string
	for key := range defaults {
		known = append(known, envName(key))
	}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "KIGO_") && !strings.HasPrefix(name, "KIGO_TEST_") && !strings.HasPrefix(name, "KIGO_FAKE_") && !slices.Contains(known, name) {
			return usagef("environment: unknown variable %s%s", name, suggest(name, known))
		}
	}
	return nil
}

func envName(key string) string {
	return "KIGO_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// trace notes where each value comes from.
func (s *settings) trace(flags *pflag.FlagSet) {
	s.from = map[string]string{}
	for key := range defaults {
		s.from[key] = "default"
		if s.viper.InConfig(key) {
			s.from[key] = "file " + s.file
		}
		if os.Getenv(envName(key)) != "" {
			s.from[key] = "environment " + envName(key)
		}
	}
	for name, key := range flagKeys {
		if f := flags.Lookup(name); f != nil && f.Changed {
			s.from[key] = "flag --" + name
		}
	}
}

// sourced adds to each of the errors joined in err, which begin with a key, where
// the key's value comes from.
func (s *settings) sourced(err error) error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var errs []error
	for _, err := range all.Unwrap() {
		key, _, _ := strings.Cut(err.Error(), ":")
		if from := s.from[key]; from != "" && from != "default" {
			err = fmt.Errorf("%w (%s)", err, from)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Validate joins all that is wrong with the values, each with its key, its value
// and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v is not %s", key, value, allowed))
	}
	known := engineNames()
	check := func(key string, names []string) {
		for _, name := range names {
			if kind, index, cut := strings.Cut(name, ":"); cut && kind == cudaName {
				if _, err := strconv.ParseUint(index, 10, 8); err == nil {
					continue // one GPU of several
				}
			}
			if !slices.Contains(known, name) {
				bad(key, fmt.Sprintf("%q", name), "an engine ("+strings.Join(known, ", ")+")"+suggest(name, known))
			}
		}
	}
	check("verify.engine", c.Verify.Engine)
	check("verify.disable", c.Verify.Disable)
	if c.Verify.Workers < 0 || c.Verify.Workers > 4096 {
		bad("verify.workers", c.Verify.Workers, "between 0 (all cores) and 4096")
	}
	if !(c.Verify.AuditRate >= 0 && c.Verify.AuditRate <= 1) {
		bad("verify.audit-rate", c.Verify.AuditRate, "between 0 and 1")
	}
	c.Network.validate(bad)
	c.Scan.validate(bad)
	c.Node.validate(bad)
	errs = append(errs, c.API.check()...)
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		bad("log.level", fmt.Sprintf("%q", c.Log.Level), "one of "+strings.Join(levels, ", "))
	}
	if formats := []string{"text", "json"}; !slices.Contains(formats, c.Log.Format) {
		bad("log.format", fmt.Sprintf("%q", c.Log.Format), "one of "+strings.Join(formats, ", "))
	}
	return errors.Join(errs...)
}

// engineNames lists the engines there can be, on this machine or another.
func engineNames() []string {
	var names []string
	for _, e := range cpu.Engines() {
		names = append(names, e.Name)
	}
	return append(names, cudaName)
}

// suggest returns a question about the known word nearest to a misspelled one,
// or nothing when none is near.
func suggest(word string, known []string) string {
	best, least := "", len(word)/2+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is the Levenshtein distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show, check or begin a config file",
		Long: `Settings come from flags, then KIGO_* environment variables, then the config
file, then defaults; the first that names a value wins.  A key's variable is its
name in capitals: verify.audit-rate is KIGO_VERIFY_AUDIT_RATE.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "print",
		Short: "Print the settings in force and where each comes from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.settings.print(cmd.OutOrStdout())
		},
	}, &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a config file and start nothing",
		Args:  cobra.MaximumNArgs(1),
		Annotations: map[string]string{
			"settings": "no", // it reads them itself
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s := settings{file: a.settings.file}
			if len(args) == 1 {
				s.file = args[0]
			}
			if err := s.load(cmd.Flags()); err != nil {
				return err
			}
			if s.file == "" {
				fmt.Fprintln(cmd.OutOrStdout(), "no config file; the settings are good")
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", s.file)
			return nil
		},
	}, &cobra.Command{
		Use:         "init [FILE]",
		Short:       "Write a commented config file with all defaults",
		Args:        cobra.MaximumNArgs(1),
		Annotations: map[string]string{"settings": "no"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := io.WriteString(cmd.OutOrStdout(), sampleConfig)
				return err
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return usagef("config file %s exists; name a new one", args[0])
			}
			if err != nil {
				return err
			}
			_, err = io.WriteString(f, sampleConfig)
			return errors.Join(err, f.Close())
		},
	})
	return cmd
}

// print writes each key with its value and where that comes from.
func (s *settings) print(w io.Writer) error {
	t := newTable(w)
	fmt.Fprintln(t, "KEY\tVALUE\tFROM")
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		value := fmt.Sprint(s.viper.Get(key))
		if list := s.viper.GetStringSlice(key); strings.HasPrefix(value, "[") {
			value = strings.Join(list, ",")
		}
		if _, is := defaults[key].(time.Duration); is {
			value = s.viper.GetDuration(key).String()
		}
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", key, value, s.from[key])
	}
	return t.Flush()
}
