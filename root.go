package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// root is the command "sessiongate", which serves, and those below it.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "sessiongate",
		Short:         "A Redis proxy that governs sessions",
		Long:          "Sessiongate stands between applications and Redis: every session expires, stays small\nand stays in its tenant's namespace. Without a command it serves.",
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context()) },
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := root.PersistentFlags()
	f.StringVarP(&p.flags.File, "config", "c", "", "configuration `file`")
	f.StringVar(&p.flags.Listen, "listen", "", "`addresses` to accept clients on, with commas")
	f.StringVar(&p.flags.Upstream, "upstream", "", "`url` of the Redis behind")
	f.StringVar(&p.flags.LogLevel, "log-level", "", "debug, info, warn or error")
	root.Version = version()
	root.Flags().Bool("version", false, "print the version")
	root.SetVersionTemplate(versionLine())
	root.AddCommand(p.serveCommand(), p.checkCommand(), p.explainCommand(), p.observeCommand(), p.schemaCommand(), p.auditCommand(), p.doctorCommand(), p.capacityCommand(), p.aclCommand(), p.hashCommand(), p.versionCommand(), p.manCommand(),
		p.sessionsCommand(), p.clientsCommand(), p.healthCommand(), p.topCommand())
	return root
}

// noArgs refuses arguments, and says so when one is a command misspelt.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if meant := cmd.SuggestionsFor(args[0]); cmd.HasSubCommands() && len(meant) > 0 {
		return usageError{fmt.Errorf("there is no command %q; did you mean %s?", args[0], meant[0])}
	}
	if cmd.HasSubCommands() {
		return usageError{fmt.Errorf("there is no command %q", args[0])}
	}
	return usageError{fmt.Errorf("%s takes no argument, but got %q", cmd.Name(), args[0])}
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.stdout, versionLine())
			return err
		},
	}
}

// versionLine is what "version" and --version print.
func versionLine() string {
	return fmt.Sprintf("sessiongate %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// stamped is the version that a release was built as; the linker sets it.
var stamped string

// version is what the build says of itself: what it was stamped with, the module's version, or the commit it was built from.
func version() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	text := "devel"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			text += "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			text += "+changes"
		}
	}
	return text
}
