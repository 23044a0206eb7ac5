package main

import (
	_ "embed"

	"github.com/spf13/cobra"
)

// schema is the JSON Schema of the configuration. A test in config/ holds it against the types that the configuration is
// read into.
//
//go:embed docs/sessiongate.schema.json
var schema []byte

func (p *program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: "Print the JSON Schema of the configuration, by which editors complete names and underline mistakes as one types.\n" +
			"With the YAML language server, the file begins with\n\n" +
			"  # yaml-language-server: $schema=sessiongate.schema.json",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(schema)
			return err
		},
	}
}
