package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a node may take to answer; what watches over
// containers asks each half minute or so.
const healthTimeout = 5 * time.Second

func newHealth(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the node on this machine whether it is fit to work",
		Long: `Health asks the node that listens at --listen, or at the setting api.listen, for
its /healthz, and fails unless it is fit to work.  It is the health check of a
container, which needs no other program for it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address := a.conf.API.Listen
			if address == "" {
				return usagef("where does the node listen?  Give --listen or the setting api.listen, as to kigo run")
			}
			client := http.Client{Timeout: healthTimeout}
			request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, "http://"+address+"/healthz", nil)
			if err != nil {
				return err
			}
			answer, err := client.Do(request)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			var body struct {
				Checks []struct {
					Name   string `json:"name"`
					OK     bool   `json:"ok"`
					Detail string `json:"detail"`
				} `json:"checks"`
			}
			if err := json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 1<<16)).Decode(&body); err != nil {
				return fmt.Errorf("%s answers %s, and not as a node does: %w", address, answer.Status, err)
			}
			t := newTable(cmd.OutOrStdout())
			for _, c := range body.Checks {
				state := "ok"
				if !c.OK {
					state = "FAILED"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\n", c.Name, state, c.Detail)
			}
			if err := t.Flush(); err != nil {
				return err
			}
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("the node at %s is not fit to work: %s", address, answer.Status)
			}
			return nil
		},
	}
	cmd.Flags().String("listen", "", "the loopback `ADDRESS` where the node serves its status")
	return cmd
}
