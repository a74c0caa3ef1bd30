package redact

import (
	_ "embed"
	"fmt"
	"strings"
)

// starter is a program that starts another one named behind it, such as sudo.
type starter struct {
	valued   string // letters of its options that have a value in the next word
	operands int    // words that stand in front of the program, such as the host of ssh
	slash    bool   // its options begin with a slash
	verbs    bool   // only some of its verbs start a program, such as docker exec
}

func starterOf(program string) (starter, bool) {
	switch program {
	case "sudo":
		return starter{valued: "ughpCrtTUDR"}, true
	case "env":
		return starter{valued: "uCS"}, true
	case "doas", "chrt", "taskset":
		return starter{valued: "uC"}, true
	case "timeout":
		return starter{valued: "ks", operands: 1}, true
	case "nice", "ionice", "nohup", "setsid", "time", "exec", "command", "stdbuf", "watch", "start", "call", "then", "do", "else", "if", "while", "!", "{":
		return starter{valued: "ncfoa"}, true
	case "xargs":
		return starter{valued: "IndLPsaE"}, true
	case "sh", "bash", "dash", "zsh", "ksh", "ash", "busybox":
		return starter{valued: "o"}, true
	case "cmd":
		return starter{slash: true}, true
	case "powershell", "pwsh":
		return starter{}, true
	case "ssh", "plink":
		return starter{valued: "BbcDEeFIiJLlmOoPpQRSWw", operands: 1}, true
	case "docker", "podman", "nerdctl", "kubectl", "oc", "docker-compose":
		return starter{verbs: true}, true
	}
	return starter{}, false
}

// loginProgram stands for docker login, whose -p is a password where that of
// docker run is a port.
const loginProgram = "docker-login"

// verdict says whether a program has a password behind an option.
type verdict uint8

const (
	unknownOption verdict = iota // the program is not known
	otherOption                  // known, and it is something else
	nextWord                     // in the next word
	attachedToo                  // in the next word, or in the same one behind the letter
)

//go:embed programs.tsv
var programsTSV string

// programs says of a program what it has behind options of one letter.
type programs map[string]optionLetter

// optionLetter is the letter behind which a program has a password, 0 for none.
type optionLetter struct {
	letter   byte
	attached bool
}

// readPrograms reads programs.tsv.
func readPrograms() (programs, error) {
	out := programs{}
	for line := range strings.Lines(programsTSV) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		switch {
		case strings.HasPrefix(line, "#") || fields[0] == "program":
		case len(fields) != 3 || len(fields[1]) != 1 || len(fields[0]) > maxProgram:
			return nil, fmt.Errorf("programs.tsv: expected a program of at most %d bytes, a letter and next, attached or -, found %q", maxProgram, line)
		case fields[1] == "-":
			out[fields[0]] = optionLetter{}
		default:
			out[fields[0]] = optionLetter{fields[1][0], fields[2] == "attached"}
		}
	}
	return out, nil
}

// verdict tells what the option of one letter is to a program. Of a program
// that is not known -p mostly begins a port, a process, a path, a profile or a
// project: whoever hides those hides what analysts look for.
func (p programs) verdict(program string, letter byte) verdict {
	option, known := p[program]
	switch {
	case !known:
		return unknownOption
	case option.letter != letter:
		return otherOption
	case option.attached:
		return attachedToo
	}
	return nextWord
}

// harmless reports whether the value of an option /p: of a program that is not
// known is a port, a number of a process or a path.
func harmless(value string) bool {
	digits := 0
	for digits < len(value) && value[digits]-'0' < 10 {
		digits++
	}
	if digits == len(value) && digits <= 5 || digits > 0 && digits < len(value) && value[digits] == ':' {
		return true
	}
	return isPath(value)
}

// isPath reports whether a value is a path that says so, or begins with a
// variable.
func isPath(value string) bool {
	if value == "" {
		return false
	}
	if strings.IndexByte(`/\$%`, value[0]) >= 0 || strings.HasPrefix(value, "./") || strings.HasPrefix(value, "..") || strings.HasPrefix(value, "~/") {
		return true
	}
	return len(value) > 2 && value[0]|0x20-'a' < 26 && value[1] == ':' && (value[2] == '\\' || value[2] == '/')
}

// isProperty reports whether a value is Name=Value, as in the /p: of MSBuild.
func isProperty(value string) bool {
	name, rest, found := strings.Cut(value, "=")
	if !found || name == "" || strings.Trim(rest, "=") == "" {
		return false
	}
	for i := 0; i < len(name); i++ {
		if name[i]|0x20-'a' >= 26 && name[i] != '_' && name[i] != '.' {
			return false
		}
	}
	return true
}
