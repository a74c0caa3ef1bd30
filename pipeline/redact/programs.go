package redact

import "strings"

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

// verdictOf tells what the option of one letter is to a program. The lists hold
// what is seen in command lines day by day; of other programs the value has to
// tell.
func verdictOf(program string, letter byte) verdict {
	letters, attached := "", false
	switch program {
	case "mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlsh", "mysqlcheck", "mysqlshow", "mariadb", "mariadb-dump", "mariadb-admin", "sshpass",
		"7z", "7za", "7zr", "7zz", "rar", "unrar", "winrar":
		letters, attached = "p", true
	case "sqlcmd", "osql", "isql", "bcp", "zip", "unzip", "mosquitto_pub", "mosquitto_sub":
		letters, attached = "P", true
	case "psexec", "psexec64", "psservice", "pskill", "pslist", "psloglist", "psinfo", "psshutdown", "paexec",
		"mongo", "mongosh", "mongodump", "mongorestore", "rdesktop", "winexe", "winrs", "az", "oathtool", loginProgram:
		letters = "p"
	case "redis-cli":
		letters = "a"
	case "ssh", "scp", "sftp", "plink", "pscp", "mosh", "rsync", "nc", "ncat", "netcat", "telnet", "nmap", "masscan", "ping", "tcpdump", "tshark", "ss",
		"netstat", "lsof", "iptables", "ip6tables", "nft", "ip", "curl", "wget", "socat", "iperf", "iperf3",
		"mkdir", "rmdir", "ls", "cp", "mv", "rm", "install", "touch", "tar", "cpio", "gzip", "find", "grep", "egrep", "rg", "sed", "awk", "less", "cat",
		"docker", "podman", "nerdctl", "kubectl", "oc", "helm", "docker-compose", "git", "patch", "diff",
		"python", "python2", "python3", "perl", "ruby", "php", "node", "java", "javac", "make", "cargo", "npm", "go", "dotnet", "msbuild", "gcc", "pip", "pip3",
		"ps", "pgrep", "pkill", "kill", "top", "htop", "pidstat", "pmap", "strace", "gdb", "perf", "taskset", "renice", "ionice", "chrt", "procdump", "procdump64",
		"psql", "pg_dump", "pg_restore", "pg_isready", "systemctl", "loginctl", "journalctl", "sysctl", "su", "sudo", "env", "read", "declare", "export",
		"sh", "bash", "dash", "zsh", "ksh", "tmux", "screen", "sar", "mount", "adb", "tasklist", "netsh", "route", "powercfg", "falconctl", "osqueryi", "osqueryd":
	default:
		return unknownOption
	}
	switch {
	case strings.IndexByte(letters, letter) < 0:
		return otherOption
	case attached:
		return attachedToo
	}
	return nextWord
}

// harmless reports whether the value of an option -p of a program that is not
// known is a port, a number of a process or a path, as most are.
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
