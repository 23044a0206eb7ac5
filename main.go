// Sessiongate is a Redis proxy that governs sessions: clients keep their library, Redis keeps the data, and every
// session expires, stays small and stays in its tenant's namespace. This file only starts the commands; what they do
// is in the packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"sessiongate/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains; a second one, no longer caught, ends the process at once
	os.Exit(run(ctx, withoutSecrets(os.Args[1:]), os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes of the program.
const (
	exitOK    = 0
	exitError = 1 // something went wrong, or the configuration is
	exitUsage = 2 // the command line is wrong
)

// program is what every command needs: where it stands in the world, and its flags.
type program struct {
	path    string   // of its file, to start it again
	args    []string // but for its name
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	flags   config.Flags
}

// codedError ends the program with a code of its own, and without a word if it holds no error.
type codedError struct {
	error
	code int
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// run executes one command line and returns the exit code. It ends early when ctx does.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{path: ownPath(), args: args, environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	return p.ended(root.ExecuteContext(ctx))
}

// ownPath is where the program was started from. A symbolic link stays one: after an upgrade it may lead to another file.
func ownPath() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path, _ = os.Executable()
	}
	return path
}

// ended tells of an error and returns the exit code.
func (p *program) ended(err error) int {
	var coded codedError
	var usage usageError
	var wrong *config.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		p.ended(coded.error)
		return coded.code
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "sessiongate: %v; try sessiongate --help\n", err)
		return exitUsage
	case errors.As(err, &wrong): // one line each, with file and place
		fmt.Fprintln(p.stderr, err)
	default:
		fmt.Fprintf(p.stderr, "sessiongate: %v\n", err)
	}
	return exitError
}
