package mappings

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/event"
)

func TestRecordType(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf(`"key_%02d":1`, i))
	}
	m := libraryPlan(t).NewMapper()
	for record, want := range map[string]string{
		`{"event_simpleName":"SensorHeartbeat","aid":"a"}`:        "SensorHeartbeat",
		`{"SourceName":"EventLog","EventID":6005,"Hostname":"a"}`: "EventLog/6005",
		`{"zeta":1,"alpha":{"x":1},"a\"b\n":2}`:                   `a??b?n,alpha,zeta`,
		`{}`:                                                      "",
		`{` + strings.Join(many, ",") + `}`:                       "key_00,key_01,key_02,key_03,key_04,key_05,key_06,key_07,key_08,key_09,key_10,key_11,key_12,key_13,+86",
	} {
		err := m.Map(&event.Partition{}, &event.Record{Value: []byte(record)}, func(e *event.Event) {
			if e.RecordType != want {
				t.Errorf("%.40s has the type %q, want %q", record, e.RecordType, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}
