package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write man pages for all commands to a folder",
		Args:  cobra.ExactArgs(1),
		Example: `  kigo man /usr/local/share/man/man1
  kigo completion bash > /etc/bash_completion.d/kigo`,
		Annotations: map[string]string{"settings": "no"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			header := &doc.GenManHeader{Title: "KIGO", Section: "1", Source: "Kigo " + version, Manual: "Kigo"}
			if err := doc.GenManTree(cmd.Root(), header, args[0]); err != nil {
				return fmt.Errorf("man pages to %s: %w", args[0], err)
			}
			return nil
		},
	}
}
