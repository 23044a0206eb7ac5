package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sessiongate/config"
)

// manCommand prints the manual page, which the package installs.
func (p *program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man",
		Short:  "Print the manual page, in troff",
		Args:   noArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return writeMan(p.stdout, cmd.Root(), manDate(p.environ))
		},
	}
}

// manDate is that of the sources, where a build says so, and else of today.
func manDate(environ []string) time.Time {
	if s, err := strconv.ParseInt(variable(environ, "SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(s, 0).UTC()
	}
	return time.Now().UTC()
}

// writeMan writes the page of the program and all its commands.
func writeMan(to io.Writer, root *cobra.Command, date time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH SESSIONGATE 1 %q %q\n", date.Format("2006-01-02"), "sessiongate "+version())
	fmt.Fprintf(&b, ".SH NAME\nsessiongate \\- %s\n", roff(strings.ToLower(root.Short[:1])+root.Short[1:]))
	b.WriteString(".SH SYNOPSIS\n.B sessiongate\n[\\fIcommand\\fR] [\\fIoptions\\fR]\n.SH DESCRIPTION\n")
	b.WriteString(paragraphs(root.Long))
	b.WriteString(".SH OPTIONS OF ALL COMMANDS\n")
	manFlags(&b, root.PersistentFlags(), nil)
	b.WriteString(".SH COMMANDS\n")
	manCommands(&b, root)
	b.WriteString(manRest)
	_, err := io.WriteString(to, b.String())
	return err
}

// manCommands writes a section for each command below parent, and for those below it.
func manCommands(b *strings.Builder, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		fmt.Fprintf(b, ".SS %s\n", roff(strings.TrimPrefix(c.UseLine(), "sessiongate ")))
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		b.WriteString(paragraphs(text))
		of := c.Root().PersistentFlags()
		manFlags(b, c.LocalFlags(), of)
		manFlags(b, c.InheritedFlags(), of)
		if c.Example != "" {
			fmt.Fprintf(b, ".PP\n.EX\n%s\n.EE\n", roff(c.Example))
		}
		manCommands(b, c)
	}
}

// manFlags writes the flags that are not among those of the whole program.
func manFlags(b *strings.Builder, flags, but *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || but != nil && but.Lookup(f.Name) != nil {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(name))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(b, "\n%s\n", roff(usage))
	})
}

// paragraphs sets text that has lines of its own.
func paragraphs(text string) string {
	var b strings.Builder
	for each := range strings.SplitSeq(text, "\n\n") {
		fmt.Fprintf(&b, ".PP\n%s\n", roff(each))
	}
	return b.String()
}

// roff escapes text that is not to be markup.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// manRest is what the commands don't know of themselves.
var manRest = `.SH SIGNALS
.TP
SIGTERM, SIGINT
Clients finish what they have begun, within the setting \fIdrain\fR. A second one ends the program at once.
.TP
SIGHUP
The configuration is read again. If anything is wrong with it, nothing changes.
.TP
SIGUSR2
The program is started anew and handed the listening sockets. Once the new process serves, this one lets its clients go.
.SH EXIT STATUS
.TP
0
All is well.
.TP
1
Something went wrong, or the configuration is wrong.
.TP
2
The command line is wrong.
.SH ENVIRONMENT
Every setting of the configuration can be given as ` + roff(config.EnvPrefix) + `\fINAME\fR, with _ for the dots in its name.
.SH FILES
.TP
/etc/sessiongate/sessiongate.yaml
The configuration of the service.
.SH SEE ALSO
.BR redis\-cli (1),
.BR redis\-server (1),
.BR systemctl (1)
`
