package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// version and revision are set by the Makefile.
var (
	version  = "development"
	revision = ""
)

// A buildInfo says what this program is.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Cgo      bool   `json:"cgo"`
	CUDA     bool   `json:"cuda"`
}

func build() buildInfo {
	b := buildInfo{Version: version, Revision: revision, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "CGO_ENABLED":
				b.Cgo = s.Value == "1"
			case s.Key == "-tags":
				b.CUDA = slices.Contains(strings.Split(s.Value, ","), "cuda")
			case s.Key == "vcs.revision" && b.Revision == "":
				b.Revision = s.Value
			}
		}
	}
	return b
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:         "version",
		Short:       "Print version, revision and how this program was built",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{"settings": "no"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := build()
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), b)
			}
			with := func(yes bool, what string) string {
				if yes {
					return "with " + what
				}
				return "without " + what
			}
			rev := b.Revision
			if rev == "" {
				rev = "unknown revision"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kigo %s (%s), %s %s/%s, %s, %s\n", b.Version, rev, b.Go, b.OS, b.Arch, with(b.Cgo, "cgo"), with(b.CUDA, "CUDA"))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
