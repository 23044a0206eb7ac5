package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sessiongate/credential"
)

func (p *program) hashCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Print the argon2id hash of a password, for the configuration",
		Long: "Read a password from standard input, one line, and print its argon2id hash, which may stand in the\n" +
			"configuration in place of the password:\n\n" +
			"  sessiongate hash < password.txt",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return p.hash() },
	}
}

func (p *program) hash() error {
	if terminal(p.stdin) {
		fmt.Fprint(p.stderr, "password (it will show): ")
	}
	line, err := bufio.NewReader(p.stdin).ReadString('\n') // an error after the password is the end of the input
	password := strings.TrimRight(line, "\r\n")
	switch {
	case password == "" && err != nil:
		return fmt.Errorf("hash reads the password from standard input: %w", err)
	case password == "":
		return errors.New("the password is empty")
	}
	_, err = fmt.Fprintln(p.stdout, credential.Hash([]byte(password)))
	return err
}
