package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
	"github.com/edrwatch/edrwatch/pipeline/secret"
)

func dictionary(t testing.TB) *ecs.Dictionary {
	t.Helper()
	dict, err := ecs.New(ecs.Field{Name: "acme", Type: "flattened"})
	if err != nil {
		t.Fatal(err)
	}
	return dict
}

func newRedactor(t testing.TB, cfg Config) *Redactor {
	t.Helper()
	r, err := New(cfg, dictionary(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// canary stands for what must not leave the gateway.
const canary = "c4n4ry-S3cr3t"

func TestSecrets(t *testing.T) {
	r := newRedactor(t, DefaultConfig())
	for _, tc := range []struct{ text, want string }{
		{"app --password " + canary + " --port 22", "app --password [redacted] --port 22"},
		{"app --password=" + canary + " x", "app --password=[redacted] x"},
		{"mysql -u root -p " + canary, "mysql -u root -p [redacted]"},
		{`setup.exe /quiet TOKEN="` + canary + ` with space" /x`, `setup.exe /quiet TOKEN="[redacted]" /x`},
		{"https://example.com/?api_key=" + canary + "&x=1", "https://example.com/?api_key=[redacted]&x=1"},
		{"curl -H 'Authorization: Bearer " + canary + "'", "curl -H 'Authorization: Bearer [redacted]'"},
		{"AccountKey=" + canary + "==;Endpoint=x", "AccountKey=[redacted];Endpoint=x"},
		{"net use x /user:a client_secret: " + canary, "net use x /user:a client_secret: [redacted]"},
		{"login with eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + canary, "login with [redacted]"},
		{"password=" + canary + " and pwd=" + canary, "password=[redacted] and pwd=[redacted]"},
		{`{"password":"` + canary + `"}`, `{"password":"[redacted]"}`},
		{"mysql -uroot -p" + canary + " shop", "mysql -uroot -p[redacted] shop"},
		{`C:\\tools\\7z.exe a x.7z -p` + canary, `C:\\tools\\7z.exe a x.7z -p[redacted]`},
		{"sshpass -p'" + canary + "' ssh h", "sshpass -p'[redacted]' ssh h"},
		{"curl -u admin:" + canary + " https://h/x", "curl -u admin:[redacted] https://h/x"},
		{"git clone https://bot:" + canary + "@git.example/x.git", "git clone https://bot:[redacted]@git.example/x.git"},
		{"schtasks /create /ru svc /rp " + canary, "schtasks /create /ru svc /rp [redacted]"},
		{"cmdkey /add:h /user:a /pass:" + canary, "cmdkey /add:h /user:a /pass:[redacted]"},
		{"-----BEGIN RSA PRIVATE KEY-----" + canary + "-----END RSA PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----"},
		{"ssh -p2222 host -path /x", "ssh -p2222 host -path /x"},
		{"ps -u root:x y", "ps -u root:[redacted] y"},
		{"tool -u https://h/x:y https://h:8080/x", "tool -u https://h/x:y https://h:8080/x"},
		{"cat /etc/mysql/my.cnf; ssh -p2222 host", "cat /etc/mysql/my.cnf; ssh -p2222 host"},
		{"mysql -e 'select 1; select 2' -p" + canary, "mysql -e 'select 1; select 2' -p[redacted]"},
		{"LANG=C sudo -u root mysqldump -p" + canary + " | ssh -p 2222 backup", "LANG=C sudo -u root mysqldump -p[redacted] | ssh -p 2222 backup"},
		{"ssh -p 22 db mysql -p" + canary, "ssh -p 22 db mysql -p[redacted]"},
		{"ssh db 'mysql -p" + canary + "'; mkdir -p a/b", "ssh db 'mysql -p[redacted]'; mkdir -p a/b"},
		{"bash -c \"cd /tmp && mysql -p" + canary + "\"", "bash -c \"cd /tmp && mysql -p[redacted]\""},
		{"docker exec -it db mysql -p" + canary + " && docker run -p web:80 mysql", "docker exec -it db mysql -p[redacted] && docker run -p web:80 mysql"},
		{"docker login -u bot -p " + canary + " registry", "docker login -u bot -p [redacted] registry"},
		{`"C:\Program Files\MySQL\mysql.exe" -p` + canary, `"C:\Program Files\MySQL\mysql.exe" -p[redacted]`},
		{`C:\Program Files (x86)\MySQL\MYSQL.EXE -p` + canary, `C:\Program Files (x86)\MySQL\MYSQL.EXE -p[redacted]`},
		{"echo $(mysql -p" + canary + "); echo `mysql -p" + canary + " x`", "echo $(mysql -p[redacted]); echo `mysql -p[redacted] x`"},
		{"sqlcmd -S db -U sa -P " + canary, "sqlcmd -S db -U sa -P [redacted]"},
		{"scp -P twotwo f h:", "scp -P twotwo f h:"},
		{"tool -p web; terraform -p prod; sudo -u x unknown -p tcp; -p word", "tool -p web; terraform -p prod; sudo -u x unknown -p tcp; -p word"},
		{"cqlsh db -u app -p " + canary + "; nxc smb h -u a -p '" + canary + "'", "cqlsh db -u app -p [redacted]; nxc smb h -u a -p '[redacted]'"},
		{"ssh -p admin h; mkdir -p deep; docker run -p http x; nmap -p ssh,http h; ls -p dir; cp -p a b; tar -xp f -C d; python -p mod; tool -p 4711; tool -p /etc/x",
			"ssh -p admin h; mkdir -p deep; docker run -p http x; nmap -p ssh,http h; ls -p dir; cp -p a b; tar -xp f -C d; python -p mod; tool -p 4711; tool -p /etc/x"},
		{"PWD=/home/carol OLDPWD=/ HOME=/home/carol", "PWD=/home/carol OLDPWD=/ HOME=/home/carol"},
		{"Driver=x;UID=sa;PWD=/" + canary, "Driver=x;UID=sa;PWD=[redacted]"},
		{"PWD=" + canary, "PWD=[redacted]"},
		{"setup.exe /p:" + canary, "setup.exe /p:[redacted]"},
		{`setup.exe /s /p:"` + canary + ` x" /v`, `setup.exe /s /p:"[redacted]" /v`},
		{"msbuild app.sln /p:Configuration=Release", "msbuild app.sln /p:Configuration=Release"},
		{"build.cmd /p:Configuration=Release /p:8080", "build.cmd /p:Configuration=Release /p:8080"},
		{"aws configure set aws_secret_access_key " + canary + " --profile x", "aws configure set aws_secret_access_key [redacted] --profile x"},
		{"aws configure set region eu-central-1", "aws configure set region eu-central-1"},
		{"setx /M API_TOKEN " + canary, "setx /M API_TOKEN [redacted]"},
		{"net user bob " + canary + " /add", "net user bob [redacted] /add"},
		{`C:\Windows\System32\net1.exe user /add bob "` + canary + ` x"`, `C:\Windows\System32\net1.exe user /add bob "[redacted]"`},
		{"net user bob " + canary + "&x /add & net user bob", "net user bob [redacted]&x /add & net user bob"},
		{"net user bob /add", "net user bob /add"},
		{"net user bob * /add", "net user bob * /add"},
		{"net user bob 2>&1", "net user bob 2>&1"},
		{"net user", "net user"},
		{`cmd /c "net user bob" then more`, `cmd /c "net user bob" then more`},
		{"dotnet user add me now", "dotnet user add me now"},
		{`net use \\h\s ` + canary + " /user:bob", `net use \\h\s [redacted] /user:bob`},
		{`net use Z: \\h\s /user:bob ` + canary, `net use Z: \\h\s /user:bob [redacted]`},
		{`net use Z: \\h\s /persistent:yes & net use Z: /delete`, `net use Z: \\h\s /persistent:yes & net use Z: /delete`},
		{"ConvertTo-SecureString '" + canary + "' -AsPlainText -Force", "ConvertTo-SecureString '[redacted]' -AsPlainText -Force"},
		{"ConvertTo-SecureString -AsPlainText '" + canary + "' -Force", "ConvertTo-SecureString -AsPlainText '[redacted]' -Force"},
		{"convertto-securestring -Force -String " + canary + " -AsPlainText", "convertto-securestring -Force -String [redacted] -AsPlainText"},
		{"'" + canary + "' | ConvertTo-SecureString -AsPlainText -Force", "'[redacted]' | ConvertTo-SecureString -AsPlainText -Force"},
		{"ConvertTo-SecureString $env:X -AsPlainText -Force; Get-Help ConvertTo-SecureString", "ConvertTo-SecureString $env:X -AsPlainText -Force; Get-Help ConvertTo-SecureString"},
		{"x -AsPlainText '" + canary + "'", "x -AsPlainText '[redacted]'"},
		{`sc.exe config X obj= .\svc password= ` + canary, `sc.exe config X obj= .\svc password= [redacted]`},
		{"Grant-TokenElevation 1: tokens are fine, bypass=1, C:\\x -p", "Grant-TokenElevation 1: tokens are fine, bypass=1, C:\\x -p"},
	} {
		e := event.New(dictionary(t))
		e.SetString(ecs.ProcessCommandLine, tc.text)
		r.Process(e)
		if got := e.Str(ecs.ProcessCommandLine); got != tc.want {
			t.Errorf("%s\ngot  %s\nwant %s", tc.text, got, tc.want)
		}
	}
}

// TestArguments has the same secrets in a list of words, as ECS has them and as
// a vendor's own field has them.
func TestArguments(t *testing.T) {
	r := newRedactor(t, DefaultConfig())
	for _, tc := range []struct{ words, want string }{
		{`["mysql","-uroot","-p` + canary + `","shop"]`, `["mysql","-uroot","-p[redacted]","shop"]`},
		{`["ssh","-p2222","mysql"]`, `["ssh","-p2222","mysql"]`},
		{`["mysql","-p","` + canary + `"]`, `["mysql","-p","[redacted]"]`},
		{`["mkdir","-p","/a b/c","deep"]`, `["mkdir","-p","/a b/c","deep"]`},
		{`["app","--password","` + canary + `&x y","-v"]`, `["app","--password","[redacted]","-v"]`},
		{`["net","user","bob","` + canary + `","/add"]`, `["net","user","bob","[redacted]","/add"]`},
		{`["sc.exe","config","X","password=","` + canary + `"]`, `["sc.exe","config","X","password=","[redacted]"]`},
		{`["bash","-c","true && mysql -p` + canary + `"]`, `["bash","-c","true && mysql -p[redacted]"]`},
		{`["app","-v","--token=` + canary + `"]`, `["app","-v","--token=[redacted]"]`},
	} {
		var words []string
		if err := json.Unmarshal([]byte(tc.words), &words); err != nil {
			t.Fatal(err)
		}
		e := event.New(dictionary(t))
		e.SetVendor("acme")
		e.Set(ecs.ProcessArgs, event.StringList(words))
		e.Extra("args", tc.words)
		r.Process(e)
		body := string(e.AppendJSON(nil))
		if got := strings.Count(body, tc.want); got != 2 {
			t.Errorf("%s is twice in the event, got %d: %s", tc.want, got, body)
		}
	}
}

func TestVendorFields(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Users, cfg.Key = "hash", secret.New("0123456789abcdef")
	cfg.Patterns = []string{`badge (\d+)`}
	r := newRedactor(t, cfg)
	e := event.New(dictionary(t))
	e.SetVendor("acme")
	e.SetString(ecs.UserName, "jdoe")
	e.SetString(ecs.Message, `EXAMPLE\jdoe opened C:\Users\jdoe\x, badge 4711`)
	e.Set(ecs.ProcessArgs, event.StringList([]string{"mysql", "-p", canary}))
	e.SetString(ecs.EDRPrivilegeAccount, "LocalSystem")
	e.Set(ecs.RelatedUser, event.StringList([]string{"jdoe", "SYSTEM"}))
	e.SetString(ecs.EventOriginal, `{"uninstall_token":"`+canary+`","UserName":"jdoe"}`)
	e.Extra("MaintenanceToken", `"`+canary+`"`)
	e.Extra("nested", `{"a":[{"apiKey":"`+canary+`","pin":7,"secret":4711}],"cmdline":"mysql -p `+canary+` y","text":"a \"password\": \"`+canary+`\" b","user":{"name":"asmith"}}`)
	e.Extra("event_data.SubjectUserName", `"EXAMPLE\\asmith"`)
	e.Extra("event_data.TokenElevationType", `"%%1936"`)
	e.Extra("owner_note", `"asmith and jdoe"`)
	r.Process(e)
	body := string(e.AppendJSON(nil))
	if !json.Valid([]byte(body)) {
		t.Fatalf("not JSON: %s", body)
	}
	for _, gone := range []string{canary, "jdoe", "asmith", "4711"} {
		if strings.Contains(body, gone) {
			t.Errorf("%s is still there: %s", gone, body)
		}
	}
	for _, stays := range []string{"LocalSystem", `"SYSTEM"`, "%%1936", `"pin":7`, "badge [redacted]", `EXAMPLE\\`} {
		if !strings.Contains(body, stays) {
			t.Errorf("%s is gone: %s", stays, body)
		}
	}
	if hash := e.Str(ecs.UserName); len(hash) != 24 || !strings.Contains(e.Str(ecs.Message), `EXAMPLE\`+hash) {
		t.Errorf("the name has the hash %q, the message is %s", hash, e.Str(ecs.Message))
	}
}

func TestUsers(t *testing.T) {
	drop := DefaultConfig()
	drop.Users = "drop"
	drop.Drop = []string{"process.command_line"}
	e := event.New(dictionary(t))
	fill := func() {
		e.Reset()
		e.SetString(ecs.UserName, "jdoe")
		e.SetString(ecs.UserID, "S-1-5-21-1-2-3-1001")
		e.SetString(ecs.ProcessCommandLine, "x")
		e.SetString(ecs.Message, "by jdoe")
	}
	fill()
	newRedactor(t, drop).Process(e)
	if e.Has(ecs.UserName) || e.Has(ecs.UserID) || e.Has(ecs.ProcessCommandLine) || e.Str(ecs.Message) != "by [redacted]" {
		t.Errorf("dropped: %s", e.AppendJSON(nil))
	}
	fill()
	e.SetString(ecs.UserID, "S-1-5-18")
	e.SetString(ecs.UserName, "backup-svc")
	keep := drop
	keep.KeepUsers = []string{"Backup-Svc"}
	newRedactor(t, keep).Process(e)
	if e.Str(ecs.UserName) != "backup-svc" || e.Str(ecs.UserID) != "S-1-5-18" {
		t.Errorf("kept: %s", e.AppendJSON(nil))
	}
	hash := func(key, name string) string {
		cfg := DefaultConfig()
		cfg.Users, cfg.Key = "hash", secret.New(key)
		e.Reset()
		e.SetString(ecs.UserName, name)
		newRedactor(t, cfg).Process(e)
		return strings.Clone(e.Str(ecs.UserName))
	}
	if a := hash("0123456789abcdef", "jdoe"); a != hash("0123456789abcdef", "JDoe") || a == hash("0123456789abcdeg", "jdoe") || a == "jdoe" {
		t.Error("the hash must be that of the name in any case, and another under another key")
	}
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Users = "hide" }, `users: expected keep, hash or drop, found "hide"`},
		{func(c *Config) { c.Users, c.Key = "hash", secret.New("short") }, "key: expected at least 16 characters"},
		{func(c *Config) { c.Patterns = []string{"("} }, "patterns[0]: error parsing regexp"},
		{func(c *Config) { c.Drop = []string{"process.comand"} }, "drop: no such field: process.comand"},
		{func(c *Config) { c.Drop = []string{"@timestamp"} }, "drop: no document can be without @timestamp"},
	} {
		cfg := DefaultConfig()
		tc.change(&cfg)
		if _, err := New(cfg, dictionary(t)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

// clean fills an event without secrets.
func clean(e *event.Event) {
	e.Reset()
	e.SetVendor("acme")
	e.SetString(ecs.HostName, "pc-0042.example.com")
	e.SetString(ecs.ProcessCommandLine, `C:\Program Files\Example\agent.exe --config C:\ProgramData\agent.yml`)
	e.SetString(ecs.Message, "The service entered the running state.")
	for _, key := range []string{"ConfigBuild", "EffectiveTransmissionClass", "Entitlements", "SensorStateBitMap", "cid", "eid", "event_platform"} {
		e.Extra(key, `"1007.3.0017706.1"`)
	}
}

func TestCleanEventsCostNoAllocation(t *testing.T) {
	r := newRedactor(t, DefaultConfig())
	e := event.New(dictionary(t))
	clean(e)
	r.Process(e)
	if n := testing.AllocsPerRun(1000, func() { clean(e); r.Process(e) }); n >= 1 {
		t.Errorf("%v allocations an event", n)
	}
}

func FuzzFragment(f *testing.F) {
	f.Add("k", `{"password":"a\\\"b","user":{"name":"x"},"t":["-p x",1,{"token":5}],"m":"a password=\"x\\\\\" b"}`)
	cfg := DefaultConfig()
	cfg.Users = "drop"
	r, err := New(cfg, dictionary(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key, fragment string) {
		if !json.Valid([]byte(fragment)) {
			return
		}
		w := r.takeWork()
		r.collect(w, key, fragment)
		if out, changed := r.fragment(w, key, fragment); changed && !json.Valid(out) {
			t.Errorf("%s: %s became %s", key, fragment, out)
		}
	})
}

func BenchmarkProcessClean(b *testing.B) {
	r := newRedactor(b, DefaultConfig())
	e := event.New(dictionary(b))
	b.ReportAllocs()
	for b.Loop() {
		clean(e)
		r.Process(e)
	}
}
