package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	known "sessiongate/command"
	"sessiongate/config"
	"sessiongate/policy"
	"sessiongate/proxy"
)

func (p *program) checkCommand() *cobra.Command {
	var show, strict bool
	cmd := &cobra.Command{
		Use:   "check [file]",
		Short: "Say whether the configuration is right, and everything that is wrong with it",
		Long: "Read the configuration from the file, the environment and the flags, and print everything that is\n" +
			"wrong with it, with file, line and column. The exit code is 0 if nothing is, 1 otherwise.\n" +
			"What works, but hardly as it was meant, is a warning; with --strict that is wrong too.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("check takes one file")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				p.flags.File = args[0]
			}
			return p.check(show, strict)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "show everything that is set, defaults too, and secrets as ***")
	cmd.Flags().BoolVar(&strict, "strict", false, "let warnings be errors")
	return cmd
}

func (p *program) check(show, strict bool) error {
	cfg, places, err := config.Read(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return err
	}
	warnings := places.Warnings(cfg)
	for _, w := range warnings {
		fmt.Fprintln(p.stderr, w)
	}
	if strict && len(warnings) > 0 {
		return fmt.Errorf("with --strict, %s", count(len(warnings), "warning is an error", "warnings are errors"))
	}
	if show {
		_, err := io.WriteString(p.stdout, cfg.String())
		return err
	}
	name := p.flags.File
	if name == "" {
		name = "the configuration"
	}
	but := ""
	if len(warnings) > 0 {
		but = ", with " + count(len(warnings), "warning", "warnings")
	}
	_, err = fmt.Fprintf(p.stdout, "%s is valid%s\n", name, but)
	return err
}

// count puts a number before the word for one, or for several.
func count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

func (p *program) explainCommand() *cobra.Command {
	var tenant string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [flags] -- command [argument ...]",
		Short: "Show what would become of a Redis command, without any server",
		Long: "Show what the rules would make of a Redis command: what is sent upstream, or why it is refused.\n" +
			"Without a command, read command lines from standard input, as redis-cli takes them.",
		Example: "  sessiongate explain --config sessiongate.yaml -- SET sess:1 v EX 99999\n" +
			"  sessiongate explain < commands.txt",
		RunE: func(_ *cobra.Command, args []string) error { return p.explain(tenant, asJSON, args) },
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "`name` of the tenant whose client says it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per command")
	cmd.Flags().SetInterspersed(false) // "explain SET k v" needs no --
	return cmd
}

// explained is the answer for one command.
type explained struct {
	Tenant string `json:"tenant"`
	proxy.Explanation
	Keys []keyRule `json:"keys,omitempty"`
}

func (p *program) explain(tenant string, asJSON bool, args []string) error {
	if len(args) == 0 && terminal(p.stdin) {
		return usageError{errors.New("explain needs a command, as in: explain -- SET sess:1 v EX 99999")}
	}
	cfg, places, err := config.Read(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return err
	}
	t, err := pick(cfg.Everyone(), tenant)
	if err != nil {
		return err
	}
	known.Extend(cfg.Commands.Extras())
	rules, err := policy.New(t.Config)
	if err != nil {
		return err
	}
	find := finder{t.Rules, places, tenantPath(cfg, t.Name), rules}
	say := func(args [][]byte) error {
		e := explained{Tenant: t.Name, Explanation: proxy.Explain(rules, args, time.Now().UnixMilli())}
		unasked := e.Verdict == "refuse" && e.Rule == ""  // of no rule
		ours := e.Verdict == "local" && len(e.Names) == 0 // answered by the proxy, whatever the rules
		if !unasked && !ours {
			e.Keys = find.all(e.Names)
		}
		if asJSON {
			enc := json.NewEncoder(p.stdout)
			enc.SetEscapeHTML(false)
			return enc.Encode(e)
		}
		_, err := io.WriteString(p.stdout, e.String())
		return err
	}
	if len(args) == 0 {
		return eachLine(p.stdin, say)
	}
	command := make([][]byte, len(args))
	for i, arg := range args {
		command[i] = []byte(arg)
	}
	return say(command)
}

// String is the transcript, under the names of tenant and rule.
func (e explained) String() string {
	head := "# tenant " + e.Tenant
	if e.Rule != "" {
		head += ", rule " + e.Rule
	}
	return head + "\n" + keyLines(e.Keys) + e.Explanation.String()
}

// pick finds a tenant by name; without a name there must be only one.
func pick(all []config.Tenant, name string) (config.Tenant, error) {
	var names []string
	for _, t := range all {
		if t.Name == name || name == "" && len(all) == 1 {
			return t, nil
		}
		names = append(names, t.Name)
	}
	if name == "" {
		return config.Tenant{}, usageError{fmt.Errorf("which tenant? add --tenant with one of %s", strings.Join(names, ", "))}
	}
	return config.Tenant{}, usageError{fmt.Errorf("there is no tenant %q; there are %s", name, strings.Join(names, ", "))}
}

// eachLine calls say for each command line in r; empty lines and those that begin with # are passed over.
func eachLine(r io.Reader, say func([][]byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		args, err := splitLine(lines.Text())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(args) == 0 || strings.HasPrefix(string(args[0]), "#") {
			continue
		}
		if err := say(args); err != nil {
			return err
		}
	}
	return lines.Err()
}
