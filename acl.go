package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sessiongate/config"
	"sessiongate/proxy"
)

func (p *program) aclCommand() *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "acl",
		Short: "Print the ACL users with which the upstream keeps scripts in their namespaces",
		Long: "Print, for each tenant with a namespace, the command that makes the upstream's ACL user which its scripts run as.\n" +
			"Tenants with an upstream of their own are printed by --tenant alone, as the command is for that upstream.\n" +
			"With upstream.acl: manage, Sessiongate gives that command itself; with verify, you do, for example by\n\n" +
			"  sessiongate acl --config sessiongate.yaml | redis-cli",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return p.acl(tenant) },
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "`name` of the only tenant to print")
	return cmd
}

func (p *program) acl(tenant string) error {
	cfg, err := config.Load(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return err
	}
	all := cfg.Everyone()
	if tenant != "" {
		one, err := pick(all, tenant)
		if err != nil {
			return err
		}
		all = []config.Tenant{one}
	}
	found, elsewhere := false, false
	for _, t := range all {
		u := cfg.Upstream
		if t.Upstream != nil {
			u = *t.Upstream
		}
		if t.Namespace == "" {
			continue
		}
		if t.Upstream != nil && tenant == "" {
			elsewhere = true
			continue
		}
		found = true
		fmt.Fprintf(p.stdout, "ACL SETUSER %s\n", strings.Join(quoted(proxy.WallRules(t.Namespace, u.Secret())), " "))
	}
	if !found && elsewhere {
		return usageError{errors.New("each tenant with a namespace has an upstream of its own; add --tenant")}
	}
	if !found {
		return errors.New("there is no tenant with a namespace: nothing keeps scripts from any key, and nothing has to")
	}
	return nil
}

// quoted are words as redis-cli takes them.
func quoted(words []string) []string {
	for i, word := range words {
		if strings.ContainsAny(word, " \"'\\") || fmt.Sprintf("%q", word) != `"`+word+`"` {
			words[i] = fmt.Sprintf("%q", word)
		}
	}
	return words
}
