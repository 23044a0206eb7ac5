package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	usual = 2 * time.Minute  // for a command
	long  = 10 * time.Minute // for one that installs packages or compiles
)

// run is one page on its way.
type run struct {
	path       string // as it is shown
	unrunnable int    // blocks of which only the syntax is checked
	sh         *shell
	dir        string // where blocks of code are saved
}

// failure is what is wrong with a page, and where.
type failure struct {
	line          int
	command, what string
}

func (f *failure) Error() string { return f.what }

// page runs all blocks of a page, from top to bottom.
func (r *run) page(blocks []block) error {
	if err := portsFree(blocks); err != nil {
		return err
	}
	for i := range blocks {
		if err := r.block(&blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) block(b *block) error {
	switch {
	case b.lang == "text":
		return nil
	case b.file != "":
		return r.save(b)
	}
	steps, err := b.steps()
	if err != nil {
		return &failure{line: b.line, what: err.Error()}
	}
	if _, ok := b.options["unrunnable"]; ok {
		r.unrunnable++
		return r.parse(b, steps)
	}
	for i, st := range steps {
		if err := r.step(b, st, i == len(steps)-1); err != nil {
			return err
		}
	}
	return nil
}

// save writes a block of code to its file, where the shell is now. A configuration is checked besides.
func (r *run) save(b *block) error {
	name := filepath.Join(r.sh.tmp, "code")
	if err := os.WriteFile(name, []byte(strings.Join(b.text, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	command := fmt.Sprintf("mkdir -p \"$(dirname %[1]q)\" && cp %[2]q %[1]q", b.file, name)
	if filepath.Base(b.file) == "sessiongate.yaml" {
		command += fmt.Sprintf(" && sessiongate check %q", b.file)
	}
	output, code, err := r.sh.run(command, usual)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d:\n%s", code, output)
	}
	if err != nil {
		return &failure{line: b.line, command: b.file, what: err.Error()}
	}
	return nil
}

// parse has bash look at the syntax of what can't be run here.
func (r *run) parse(b *block, steps []step) error {
	for _, st := range steps {
		check := exec.Command("bash", "-n")
		check.Stdin = strings.NewReader(st.text + "\n")
		if output, err := check.CombinedOutput(); err != nil {
			return &failure{st.line, st.text, strings.TrimSpace(string(output))}
		}
	}
	return nil
}

func (r *run) step(b *block, st step, last bool) error {
	text, timeout := st.text, usual
	if st.asRoot {
		text = asRoot(text)
	}
	for _, word := range []string{"apt-get", "npm ", "go build", "go run", "make build"} {
		if strings.Contains(text, word) {
			timeout = long
		}
	}
	if ports := b.ports(); ports != nil {
		if output, err := r.sh.background(text, ports, timeout); err != nil {
			return &failure{st.line, st.text, err.Error() + ":\n" + indent(output)}
		}
		return nil
	}
	output, code, err := r.sh.run(text, timeout)
	if err != nil {
		return &failure{st.line, st.text, err.Error() + ":\n" + indent(output)}
	}
	_, fails := b.options["fails"]
	if want := lines(strings.Join(st.want, "\n")); len(want) > 0 && !matches(want, lines(output)) {
		return &failure{st.line, st.text, "the page has (-), and what came is (+):\n" + diff(want, lines(output))}
	}
	switch fails = fails && last; {
	case !fails && code != 0:
		return &failure{st.line, st.text, fmt.Sprintf("exit code %d:\n%s", code, indent(output))}
	case fails && code == 0:
		return &failure{st.line, st.text, "exit code 0, but the block says that it fails"}
	}
	return nil
}

// asRoot is how a command is run as root, by whoever we are.
func asRoot(command string) string {
	if os.Getuid() == 0 {
		return command
	}
	return "sudo env DEBIAN_FRONTEND=noninteractive " + command
}

// portsFree tells of a port that a page wants and something else has.
func portsFree(blocks []block) error {
	for _, b := range blocks {
		for _, port := range b.ports() {
			if accepts(port) {
				return &failure{line: b.line, what: "something else listens on port " + port + " already; pages use fixed ports, so end that first"}
			}
		}
	}
	return nil
}

func accepts(port string) bool {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func indent(output string) string {
	var out strings.Builder
	for _, line := range lines(output) {
		out.WriteString("      " + line + "\n")
	}
	return out.String()
}
