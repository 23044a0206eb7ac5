// Package tap is what every program here has in common: where Redis is, and how checks are reported.
package tap

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// What the matrix tells in the environment.
var (
	Host     = os.Getenv("REDIS_HOST")
	Port     = os.Getenv("REDIS_PORT")
	Addr     = Host + ":" + Port
	Password = os.Getenv("REDIS_PASSWORD")
	URL      = os.Getenv("REDIS_URL")
	Rules    = os.Getenv("MODE") == "rules"
)

var checks, failures int

// Version reports the version of a module that is built in.
func Version(module string) {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == module {
			fmt.Println("# version", strings.TrimPrefix(dep.Version, "v"))
			return
		}
	}
	fmt.Fprintf(os.Stderr, "%s is not built into %s\n", module, filepath.Base(os.Args[0]))
}

// Check runs one check and reports it. A panic is a failure like others.
func Check(name string, check func() error) {
	checks++
	err := guarded(check)
	if err == nil {
		fmt.Println("ok -", name)
		return
	}
	failures++
	fmt.Printf("not ok - %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
}

func guarded(check func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return check()
}

// Skip reports what the library doesn't offer.
func Skip(name, why string) {
	checks++
	fmt.Printf("ok - %s # SKIP %s\n", name, why)
}

// Done reports the plan and ends the program.
func Done() {
	fmt.Printf("1..%d\n", checks)
	if failures > 0 {
		os.Exit(1)
	}
	os.Exit(0)
}
