package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/config"
	"sessiongate/doctor"
)

// doctorFlags is what the command line says of a consultation.
type doctorFlags struct {
	address, tenant, passwordFile string
	sample                        int
	strict, json                  bool
}

func (p *program) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at a running Sessiongate as clients do, and at Redis behind it, and say what to put right",
		Long: "Connect to a running Sessiongate as 25 drivers do, and look at the Redis behind: its version, what its user may\n" +
			"do, its settings against the rules, its clock, and a sample of the sessions that are there. Each finding is one line:\n" +
			"ok, note (worth knowing), warn (it works, until it doesn't) or FAIL (it doesn't), what was found, and the line that\n" +
			"puts it right.\n\n" +
			"Nothing is changed, and no secret is shown. The exit code is 1 if anything is a FAIL, with --strict also if anything\n" +
			"is a warn.",
		Example: "  sessiongate doctor --config sessiongate.yaml\n" +
			"  sessiongate doctor --config sessiongate.yaml --address off    # before it is started",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.doctor(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.address, "address", "", "`address` at which clients reach it, as in listen; left out: those of the configuration; off: leave clients out")
	flags.StringVar(&f.tenant, "tenant", "", "`name` of the only tenant to look at")
	flags.StringVar(&f.passwordFile, "password-file", "", "`file` with the password to log in with; left out: the tenant's, where the configuration has it in clear")
	flags.IntVar(&f.sample, "sample", 10000, "`keys` of each tenant to look at; 0: none")
	flags.BoolVar(&f.strict, "strict", false, "let warnings be failures")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (p *program) doctor(ctx context.Context, f doctorFlags) error {
	if f.sample < 0 {
		return usageError{errors.New("--sample takes a number from 0 on")}
	}
	cfg, places, err := config.Read(p.flags, p.environ, os.ReadFile)
	if err != nil {
		return err
	}
	c := doctor.Config{Settings: cfg, File: p.flags.File, Warnings: places.Warnings(cfg), Only: f.tenant, Address: doctor.FromSettings, Sample: f.sample}
	if c.File == "" {
		c.File = variable(p.environ, "SESSIONGATE_CONFIG")
	}
	if f.tenant != "" {
		if _, err := pick(cfg.Everyone(), f.tenant); err != nil {
			return err
		}
	}
	switch {
	case f.address == "off":
		c.Address = ""
	case strings.Contains(f.address, "@"): // it isn't shown, as a login may stand in it
		return usageError{errors.New("--address takes the address alone, without a login: host:port, tls://host:port or unix:///path")}
	case f.address != "":
		if err := new(config.Listener).UnmarshalText([]byte(f.address)); err != nil {
			return usageError{fmt.Errorf("--address: %w", err)}
		}
		c.Address = f.address
	}
	if f.passwordFile != "" {
		if _, err := pick(cfg.Everyone(), f.tenant); err != nil { // it is one tenant's
			return err
		}
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return err
		}
		c.Password, _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		c.OpenFiles = limit.Cur
	}
	command.Extend(cfg.Commands.Extras())
	first, err := openStage(cfg, zap.NewNop())
	if err != nil {
		return err
	}
	defer first.closeAllBut(&stage{})
	c.Tenants = first.tenants
	report := doctor.Run(ctx, c)
	return f.print(p, report)
}

func (f doctorFlags) print(p *program, report *doctor.Report) error {
	write := report.Text
	if f.json {
		write = report.JSON
	}
	if err := write(p.stdout); err != nil {
		return err
	}
	if report.Count(doctor.Fail) > 0 || f.strict && report.Count(doctor.Warn) > 0 {
		return codedError{nil, exitError}
	}
	return nil
}
