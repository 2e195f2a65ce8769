package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/verify"
)

func newDevices(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List engines and hardware, with self-test",
		Long: `Devices lists every engine, whether this machine can run it and why not, and
whether it gives the known answers.  The first usable one in the list is
preferred; small batches go to the engine that is quickest with them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			states := a.surveyEngines(cmd.Context(), true)
			defer states.close(a.log)
			if err := verify.Interrupted(cmd.Context()); err != nil {
				return err
			}
			if asJSON {
				if err := writeJSON(cmd.OutOrStdout(), states); err != nil {
					return err
				}
			} else if err := printDevices(cmd, states); err != nil {
				return err
			}
			for _, s := range states {
				if s.Available && s.SelfTest != "ok" {
					return fmt.Errorf("engine %s fails its self-test", s.Name)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	engineFlags{}.add(cmd)
	return cmd
}

func printDevices(cmd *cobra.Command, states engineStates) error {
	t := newTable(cmd.OutOrStdout())
	fmt.Fprintln(t, "ENGINE\tUSED\tSELF-TEST\tWHAT IT IS")
	for _, s := range states {
		use, detail := "no", s.Detail
		if s.Chosen {
			use = "yes"
		}
		test, wrong, _ := strings.Cut(s.SelfTest, ": ")
		if s.backend != nil {
			test = fmt.Sprintf("%s, %s", test, s.took.Round(100*time.Microsecond))
		}
		switch {
		case !s.Available:
			detail += " (" + s.Reason + ")"
		case wrong != "":
			detail += " (" + wrong + ")"
		case !s.Chosen:
			detail += " (switched off)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, use, test, detail)
	}
	return t.Flush()
}
