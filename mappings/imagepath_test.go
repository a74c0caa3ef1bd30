package mappings

import (
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

// TestImagePath takes programs out of what services are installed with.
func TestImagePath(t *testing.T) {
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	e := event.New(dict)
	for in, want := range map[string]string{
		`C:\Windows\System32\svchost.exe`:                              `C:\Windows\System32\svchost.exe`,
		`C:\Windows\System32\svchost.exe -k netsvcs -p`:                `C:\Windows\System32\svchost.exe`,
		`"C:\Program Files\CrowdStrike\CSFalconService.exe"`:           `C:\Program Files\CrowdStrike\CSFalconService.exe`,
		`"C:\Program Files\Example Guard\guard.exe" --service "a b"`:   `C:\Program Files\Example Guard\guard.exe`,
		`C:\Program Files\Example Guard\guard.exe --service`:           `C:\Program Files\Example Guard\guard.exe`,
		`C:\Program Files\Example.exe.d\guard.exe /s`:                  `C:\Program Files\Example.exe.d\guard.exe`,
		`\SystemRoot\System32\drivers\WdFilter.sys`:                    `C:\Windows\System32\drivers\WdFilter.sys`,
		`system32\drivers\wd\WdBoot.sys`:                               `C:\Windows\System32\drivers\wd\WdBoot.sys`,
		`\??\C:\ProgramData\Microsoft\Windows Defender\MpKslDrv.sys`:   `C:\ProgramData\Microsoft\Windows Defender\MpKslDrv.sys`,
		`%SystemRoot%\PSEXESVC.exe`:                                    `C:\Windows\PSEXESVC.exe`,
		`%systemroot%\system32\svchost.exe -k LocalService`:            `C:\Windows\system32\svchost.exe`,
		`%ProgramFiles%\Example\a.exe`:                                 `C:\Program Files\Example\a.exe`,
		`%ProgramFiles(x86)%\Example\a.exe`:                            `C:\Program Files (x86)\Example\a.exe`,
		`%COMSPEC% /Q /c echo cd > \\127.0.0.1\C$\out 2>&1`:            `C:\Windows\System32\cmd.exe`,
		`c:\windows\system32\cmd.exe /c powershell -command "x.exe y"`: `c:\windows\system32\cmd.exe`,
		`cmd.exe /k tscon 2`:                                           `cmd.exe`,
		`%EXAMPLE_HOME%\bin\a.exe -x`:                                  `%EXAMPLE_HOME%\bin\a.exe`,
		`\Device\HarddiskVolume3\Program Files\Example\a.sys`:          `\Device\HarddiskVolume3\Program Files\Example\a.sys`,
		`\\fileserver\share\tool.exe -x`:                               `\\fileserver\share\tool.exe`,
		`C:\tools\agent -daemon`:                                       `C:\tools\agent`,
		`C:\Program Files\agent\bin`:                                   `C:\Program Files\agent\bin`,
		`"C:\Program Files\unterminated.exe`:                           `C:\Program Files\unterminated.exe`,
		``:                                                             ``, ` `: ``, `""`: ``, `"`: ``, `\??\`: ``,
	} {
		got, ok := imagePath(e, text{s: in})
		if ok != (want != "") || ok && got.s != want {
			t.Errorf("%q: got %q, %v; want %q", in, got.s, ok, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { e.Reset(); _, _ = imagePath(e, text{s: `%SystemRoot%\PSEXESVC.exe -x`}) }); n != 0 {
		t.Errorf("it takes %v allocations", n)
	}
}
