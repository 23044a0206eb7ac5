// Command clients is the matrix of real Redis clients and session libraries: it installs what can be had, runs each
// program against a Sessiongate in front of a real redis-server, and looks into that Redis afterwards. README.md says
// what a program is. Run it from inside the repository:
//
//	go run ./integration_test/clients
//	go run ./integration_test/clients -only 'ioredis|^php/' -mode rules
//	go run ./integration_test/clients -mode direct    # without a Sessiongate: are the programs themselves right?
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	only        *regexp.Regexp
	modes       []mode
	noInstall   bool
	parallel    int
	page        string // path, empty: none is written
	race        bool
	verbose     bool
	root        string // of the repository
	sessiongate string // path of the binary
	scratch     string // directory for binaries, logs and what programs write
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	var o options
	var only, modeName string
	f := flag.NewFlagSet("clients", flag.ContinueOnError)
	f.StringVar(&only, "only", "", "run programs whose directory/name matches this `regexp`")
	f.StringVar(&modeName, "mode", "", "`mode` to run in: transparent, rules, or direct, which is without a Sessiongate (default: the first two)")
	f.BoolVar(&o.noInstall, "no-install", false, "install nothing: what isn't there is missing")
	f.IntVar(&o.parallel, "parallel", runtime.NumCPU(), "programs at a `time`")
	f.StringVar(&o.page, "write", "", "write what was found into this `file`, between its markers")
	f.BoolVar(&o.race, "race", false, "build the Sessiongate with the race detector")
	f.BoolVar(&o.verbose, "v", false, "show the output of every program, and of installing")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.parallel < 1 {
		return o, errors.New("-parallel must be positive")
	}
	if o.page != "" && (only != "" || modeName != "") {
		return o, errors.New("-write needs every program in every mode: leave -only and -mode out")
	}
	var err error
	if o.modes, err = modesNamed(modeName); err != nil {
		return o, err
	}
	o.only, err = regexp.Compile(only)
	return o, err
}

// run does it all. Its error says what failed, when the lines above it don't.
func run(ctx context.Context, o options, out io.Writer) error {
	var err error
	if o.root, err = repository(ctx); err != nil {
		return err
	}
	directories, err := load(filepath.Join(o.root, "integration_test", "clients"))
	if err != nil {
		return err
	}
	directories = pick(directories, o.only)
	if len(directories) == 0 {
		return fmt.Errorf("-only %s matches no program", o.only)
	}
	if o.scratch, err = os.MkdirTemp("", "sessiongate-clients-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.scratch)
	if err := buildSessiongate(ctx, &o); err != nil {
		return err
	}

	install(ctx, o, directories)
	results := runAll(ctx, o, directories, out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ran, failed := summarise(out, results)
	switch {
	case failed > 0: // the page would tell of a difference that is none
		return fmt.Errorf("%d failed, see above", failed)
	case ran == 0:
		return errors.New("nothing was run: all of it is missing, see above")
	case o.page != "":
		return writePage(filepath.Join(o.root, o.page), results)
	}
	return nil
}

// repository is the directory of the module that this runs in.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sessiongate").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w; run this from inside the repository", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func buildSessiongate(ctx context.Context, o *options) error {
	o.sessiongate = filepath.Join(o.scratch, "sessiongate")
	args := []string{"build", "-o", o.sessiongate}
	if o.race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = o.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build Sessiongate: %w\n%s", err, out)
	}
	return nil
}
