package rules

// orderBorders are rules about what comes after what.
func orderBorders() []border {
	const crashAndNoStart = "sequence\nmaxspan: 10m\nsteps:\n" +
		"  - {name: crash, condition: event.action == \"sensor-crashed\"}\n" +
		"  - {name: start, condition: event.action == \"sensor-started\", absent: true, within: 30m}"
	return []border{
		{
			name: "sequence of two events of one moment, and exactly maxspan apart",
			rule: "sequence\nmaxspan: 10m\nsteps:\n  - {name: one, condition: event.action == \"error\"}\n  - {name: two, condition: event.action == \"host-crashed\"}",
			events: `
				0s     event.action=error agent.id=a
				0s     event.action=host-crashed agent.id=a
				1m     event.action=host-crashed agent.id=b
				1m     event.action=error agent.id=b
				11m    event.action=host-crashed agent.id=b
				12m    event.action=error agent.id=c
				22m1s  event.action=host-crashed agent.id=c
				22m2s  @12m0.5s event.action=host-crashed agent.id=c`,
			want: `
				0s firing a count 1 from 0s
				11m0s firing b count 1 from 1m0s
				22m2s firing c count 1 from 12m0s`,
		},
		{
			name: "what must not come comes in the moment of its neighbours",
			rule: "sequence\nmaxspan: 10m\nsteps:\n  - {name: one, condition: event.action == \"error\"}\n" +
				"  - {name: none, condition: event.action == \"inventory\", absent: true}\n  - {name: two, condition: event.action == \"host-crashed\"}",
			events: `
				0s event.action=inventory agent.id=a
				0s event.action=error agent.id=a
				5m event.action=host-crashed agent.id=a
				5m event.action=inventory agent.id=a
				6m event.action=error agent.id=b
				6m event.action=inventory agent.id=b
				7m event.action=host-crashed agent.id=b
				8m event.action=error agent.id=c
				9m event.action=host-crashed agent.id=c
				9m30s event.action=error agent.id=c
				9m31s @8m30s event.action=inventory agent.id=c
				9m40s event.action=host-crashed agent.id=c`,
			want: `
				5m0s firing a count 1 from 0s
				9m0s firing c count 1 from 8m0s
				9m40s firing c count 1 from 9m30s`,
		},
		{
			name: "an absence that ends exactly when the agent starts again",
			rule: crashAndNoStart,
			events: `
				0s      event.action=sensor-crashed agent.id=a
				0s      event.action=sensor-crashed agent.id=b
				0s      event.action=sensor-crashed agent.id=c
				10m     event.action=sensor-heartbeat agent.id=z
				20m     event.action=sensor-heartbeat agent.id=z
				30m     event.action=sensor-started agent.id=a
				30m0.5s event.action=sensor-started agent.id=b
				30m59s  @30m event.action=sensor-started agent.id=c
				31m     event.action=sensor-heartbeat agent.id=z`,
			want: `
				31m0s firing b count 1 from 0s`,
		},
		{
			name: "an absence through a gap of the feed proves nothing",
			rule: crashAndNoStart,
			events: `
				0s  event.action=sensor-crashed agent.id=a
				15m event.action=sensor-crashed agent.id=b
				30m event.action=sensor-heartbeat agent.id=z
				40m event.action=sensor-heartbeat agent.id=z
				56m event.action=sensor-heartbeat agent.id=z`,
			end: "100h",
			want: `
				31m0s firing a count 1 from 0s`,
		},
		{
			name: "two absences of which both are over when the crashes come late",
			rule: "sequence\nmaxspan: 10m\ngrace: 0s\nsteps:\n" +
				"  - {name: crash, condition: event.action == \"sensor-crashed\"}\n" +
				"  - {name: start, condition: event.action == \"sensor-started\", absent: true, within: 1m}",
			events: `
				20m  @10m event.action=sensor-crashed agent.id=a
				20m  @12m event.action=sensor-crashed agent.id=a
				20m  @14m event.action=sensor-crashed agent.id=a
				20m  @14m30s event.action=sensor-started agent.id=a
				20m1s event.action=sensor-heartbeat agent.id=z`,
			want: `
				20m0.000000001s firing a count 1 from 10m0s
				20m0.000000001s firing a count 1 from 12m0s`,
		},
		{
			name: "for with readings exactly as far apart as they may be",
			rule: "match\nfor: 10m\ncondition: edr.resource.cpu_pct >= 50",
			events: `
				0s     edr.resource.cpu_pct=60 agent.id=a
				0s     edr.resource.cpu_pct=60 agent.id=b
				10m    edr.resource.cpu_pct=60 agent.id=a
				10m1s  edr.resource.cpu_pct=60 agent.id=b
				20m    edr.resource.cpu_pct=60 agent.id=a
				20m1s  edr.resource.cpu_pct=60 agent.id=b
				20m2s  agent.id=a
				25m    @19m edr.resource.cpu_pct=5 agent.id=a
				26m    @25m edr.resource.cpu_pct=5 agent.id=a`,
			end: "31m",
			want: `
				10m0s firing a count 2 from 0s
				20m1s firing b count 2 from 10m1s
				26m0s resolved a count 3 from 0s
				30m1s resolved b count 2 from 10m1s`,
		},
		{
			name: "for is kept over a bad reading by keep_firing_for, not by a missing field",
			rule: "match\nfor: 2m\nkeep_firing_for: 5m\ncondition: edr.resource.cpu_pct >= 50 and event.action != \"error\"",
			events: `
				0s   event.action=resource-usage edr.resource.cpu_pct=60 agent.id=a
				1m   edr.resource.cpu_pct=5 agent.id=a
				2m   event.action=resource-usage edr.resource.cpu_pct=60 agent.id=a
				4m   event.action=error edr.resource.cpu_pct=60 agent.id=a
				6m   event.action=resource-usage edr.resource.cpu_pct=60 agent.id=a
				10m59s event.action=error edr.resource.cpu_pct=60 agent.id=a
				11m1s event.action=error edr.resource.cpu_pct=60 agent.id=a`,
			want: `
				2m0s firing a count 2 from 0s
				11m0s resolved a count 3 from 0s`,
		},
		{
			name: "silence at the end of the capture, and a sign of life just too late",
			rule: "silence\ncondition: event.action == \"sensor-heartbeat\"\nafter: 10m\nends_on: event.action == \"host-shutdown\"",
			events: `
				0s  event.action=sensor-heartbeat agent.id=a
				0s  event.action=sensor-heartbeat agent.id=b
				1m  event.action=sensor-heartbeat agent.id=c
				1m  event.action=host-shutdown agent.id=c
				5m  event.action=sensor-heartbeat agent.id=z
				10m event.action=sensor-heartbeat agent.id=b
				14m event.action=sensor-heartbeat agent.id=z
				15m event.action=sensor-heartbeat agent.id=z`,
			end: "40m", // A gap of 25 minutes, of which the last 5 count: b was away for 5 before, z for none.
			want: `
				10m0s firing a count 1 from 0s
				10m0s firing b count 1 from 0s
				10m0s resolved b count 1 from 0s
				40m0s firing b count 1 from 10m0s`,
		},
		{
			name: "silence of who sends events of long ago",
			rule: "silence\ncondition: event.action == \"sensor-heartbeat\"\nafter: 10m",
			events: `
				0s  event.action=sensor-heartbeat agent.id=a
				5m  event.action=error agent.id=z
				9m  @-3h event.action=sensor-heartbeat agent.id=a
				14m event.action=error agent.id=z
				18m59s event.action=error agent.id=a
				19m event.action=error agent.id=z`,
			want: `
				19m0s firing a count 1 from 9m0s`,
		},
		{
			name: "an episode that an exact keep_firing_for ends",
			rule: "match\nkeep_firing_for: 5m\nsuppress: 7m\ncondition: event.action == \"error\"",
			events: `
				0s  event.action=error agent.id=a
				6m  event.action=error agent.id=a
				11m event.action=error agent.id=a
				12m @-2h event.action=error agent.id=a`,
			end: "1h",
			want: `
				0s firing a count 1 from 0s
				11m0s resolved a count 2 from 0s
				11m0s firing a count 1 from 11m0s
				18m0s resolved a count 2 from 11m0s`,
		},
		{
			name: "a new value at the end of learning, one that was forgotten, and a change back",
			rule: "new_terms\ncondition: event.action == \"error\"\nfields: [process.name]\nlearn: 10m\nwindow: 20m",
			events: `
				0s   event.action=error process.name=p agent.id=a
				9m59s event.action=error process.name=q agent.id=a
				10m  event.action=error process.name=r agent.id=a
				20m  event.action=error process.name=p agent.id=a
				29m58s event.action=error process.name=q agent.id=a`,
			want: `
				10m0s firing a count 1 from 10m0s
				20m0s firing a count 1 from 20m0s`,
		},
		{
			name: "a spike that is exactly so many times the average",
			rule: "spike\ncondition: event.action == \"error\"\nwindow: 10m\nhistory: 2\nmin_history: 2\ntimes: 2\nmin_events: 3",
			events: `
				9m  event.action=error agent.id=a
				10m event.action=error agent.id=a
				11m event.action=error agent.id=a
				20m event.action=error agent.id=a
				30m event.action=error agent.id=a
				31m event.action=error agent.id=a
				39m59s event.action=error agent.id=a
				39m59s event.action=error agent.id=a`,
			want: `
				39m59s firing a count 3 from 30m0s`,
		},
		{
			name: "a cohort whose silent agents say goodbye one after the other",
			rule: "silence\nscope: cohort\ncondition: event.action == \"sensor-heartbeat\"\nafter: 4m\nends_on: event.action == \"host-shutdown\"\n" +
				"cohort: {by: [agent.type], percent: 20, within: 10m, min_silent: 2}",
			events: `
				0s  event.action=sensor-heartbeat agent.type=x agent.id=a
				0s  event.action=sensor-heartbeat agent.type=x agent.id=b
				0s  event.action=sensor-heartbeat agent.type=x agent.id=c
				0s  event.action=sensor-heartbeat agent.type=x agent.id=d
				0s  event.action=sensor-heartbeat agent.type=x agent.id=e
				0s  event.action=sensor-heartbeat agent.type=x agent.id=f
				2m  event.action=sensor-heartbeat agent.type=x agent.id=a
				4m  event.action=sensor-heartbeat agent.type=x agent.id=a
				6m  event.action=host-shutdown agent.id=b
				7m  event.action=host-shutdown agent.id=c
				8m  event.action=host-shutdown agent.id=d
				8m  event.action=sensor-heartbeat agent.type=x agent.id=a
				9m  event.action=host-shutdown agent.id=e
				10m event.action=host-shutdown agent.id=f`,
			want: `
				4m0s firing x count 4 from 0s
				10m0s resolved x count 0 from 0s`,
		},
		{
			name: "a value that was forgotten is not gone back to",
			rule: "change\nfield: process.name\nwindow: 10m\nreturns: 1",
			events: `
				0s  process.name=p agent.id=a
				1m  process.name=q agent.id=a
				11m process.name=r agent.id=a
				12m process.name=p agent.id=a
				13m process.name=r agent.id=a
				14m process.name=p agent.id=b
				15m process.name=q agent.id=b
				20m process.name=q agent.id=b
				25m process.name=p agent.id=b
				26m process.name=q agent.id=b
				27m @25m59s process.name=p agent.id=b`,
			want: `
				13m0s firing a count 1 from 13m0s
				26m0s firing b count 1 from 26m0s`,
		},
	}
}
