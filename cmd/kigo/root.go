package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kigo/gpu"
	"kigo/node/verify"
)

// An app is what the commands share once flags and config are read.
type app struct {
	settings settings
	conf     Config
	screen   *screen // stderr
	level    slog.LevelVar
	log      *slog.Logger    // of that level, to the screen
	metrics  *verify.Metrics // of the engines, nil where nobody sees them

	gpuMetrics *gpu.Metrics // nil likewise
}

func newRoot(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "kigo",
		Short: "Judge Mochimo trailers and peers, proof of work included",
		Long: `Kigo judges the trailers of the Mochimo blockchain: that they keep the rules of
the chain, link to one another, and carry every proof of work they claim.  It
judges peers by the trailers they serve.

Results go to stdout, progress and logs to stderr.  Exit codes: 0 done and good,
1 our own failure, 2 wrong words or config, 3 found invalid, 4 no peers or no
proven quorum, 130 interrupted.`,
		Example: `  kigo verify tfile.dat             is this trailer file what it claims to be?
  kigo scan --peer 192.0.2.1        the chain of the network, and who proves it
  kigo show tfile.dat 608001        a block in words, with its haiku
  kigo devices                      which engines can this machine use?
  kigo bench                        how fast are they?`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var names []string
			for _, sub := range cmd.Commands() {
				names = append(names, sub.Name())
			}
			return usagef("unknown command %q (kigo --help lists them)%s", args[0], suggest(args[0], names))
		},
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.setup(cmd) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := ""
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
			hint = suggest("--"+unknown.GetSpecifiedName(), names)
		}
		return usagef("%v (see %s --help)%s", err, cmd.CommandPath(), hint)
	})
	root.SetUsageFunc(usage)
	root.PersistentFlags().StringVar(&a.settings.file, "config", "", "read settings from this `FILE` (default: kigo.yaml of the user or of the system, if there is one)")
	root.PersistentFlags().String("log-level", defaults["log.level"].(string), "least `LEVEL` to log: debug, info, warn or error")

	root.AddCommand(
		newVerify(a), newPow(a), newShow(a), newSynth(a), newDevices(a), newBench(a),
		newPins(a), newRun(a), newHealth(a), newScan(a), newCheck(a), newChaos(a), newDemo(a), newEvidence(a), newExport(a), newConfig(a), newVersion(), newMan(),
	)
	root.InitDefaultCompletionCmd() // it keeps the output that is set now
	root.SetHelpCommand(newHelp(root))
	for _, cmd := range root.Commands() {
		if cmd.Run == nil && cmd.RunE == nil { // cobra's own completion
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		wrapArgs(cmd)
	}
	return root
}

// newHelp is cobra's help command, but a topic that doesn't exist is an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:         "help [COMMAND]",
		Short:       "Help about a command",
		Annotations: map[string]string{"settings": "no"},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no help about %q; kigo --help lists the commands", strings.Join(args, " "))
			}
			return cmd.Help()
		},
	}
}

// wrapArgs turns cobra's complaints about arguments into usage errors, for a
// command and all below it.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil {
				return nil
			}
			usage := strings.TrimSpace(cmd.UseLine())
			switch {
			case cmd.Parent() == nil || !strings.HasPrefix(err.Error(), "unknown command"): // cobra.NoArgs says so
				return usagef("%v; usage: %s", err, usage)
			case cmd.HasSubCommands():
				var names []string
				for _, sub := range cmd.Commands() {
					names = append(names, sub.Name())
				}
				return usagef("%v (%s --help lists them)%s", err, cmd.CommandPath(), suggest(args[0], names))
			}
			return usagef("%s takes no arguments, and %q is one; usage: %s", cmd.CommandPath(), args[0], usage)
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

// setup reads the settings and makes the logger, before any command runs.
func (a *app) setup(cmd *cobra.Command) error {
	if skip := cmd.Annotations["settings"]; skip == "no" {
		return nil
	}
	if err := a.settings.load(cmd.Flags()); err != nil {
		return err
	}
	a.conf = a.settings.conf
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.conf.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %w", err) // Validate has let it through
	}
	a.level.Set(level)
	opts := &slog.HandlerOptions{Level: &a.level}
	a.screen = newScreen(cmd.ErrOrStderr())
	if a.conf.Log.Format == "json" {
		a.log = slog.New(slog.NewJSONHandler(a.screen, opts))
	} else {
		a.log = slog.New(slog.NewTextHandler(a.screen, opts))
	}
	return nil
}

// quieten logs warnings only, unless the user has named a level: what a command
// that runs once has to say of each peer is in its table.
func (a *app) quieten() {
	if a.settings.from["log.level"] == "default" {
		a.level.Set(slog.LevelWarn)
	}
}
