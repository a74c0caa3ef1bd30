package rules

// The session starts at 04:00 UTC on 19 July 2024; the lateness is 15 minutes.
func borders() []border { return append(windowBorders(), orderBorders()...) }

func windowBorders() []border {
	return []border{
		{
			name: "threshold by two fields, an event exactly a window after another",
			rule: "threshold\ncondition: event.action == \"error\"\ngroup_by: [host.name, process.name?]\nwindow: 10m\nhaving: {gte: 3}",
			events: `
				0s     event.action=error host.name=h process.name=p
				0s     event.action=error host.name=h
				5m     event.action=error host.name=h process.name=p
				5m     event.action=error process.name=p
				6m     event.action=error host.name=H process.name=p
				10m    event.action=error host.name=h process.name=p
				14m59s event.action=error host.name=h process.name=p`,
			end: "1h",
			want: `
				14m59s firing h | p count 3 from 5m0s
				15m0s resolved h | p count 3 from 5m0s`,
		},
		{
			name: "threshold fires again with events that counted before",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 2}",
			events: `
				0s  event.action=error agent.id=a
				1m  event.action=error agent.id=a
				10m event.action=error agent.id=a
				25m event.action=error agent.id=a`,
			end: "1h",
			want: `
				1m0s firing a count 2 from 0s
				10m0s resolved a count 2 from 0s
				10m0s firing a count 2 from 1m0s
				11m0s resolved a count 2 from 1m0s`,
		},
		{
			name: "threshold with an upper bound that is passed at once",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 2, lt: 3}",
			events: `
				0s     event.action=error agent.id=a
				20m    @9m event.action=error agent.id=a
				20m    @9m event.action=error agent.id=a
				20m1s  event.action=error agent.id=b`,
			want: `
				20m0s firing a count 2 from 0s
				20m0.000000001s resolved a count 3 from 0s`,
		},
		{
			name: "an event exactly the lateness behind counts, one later does not",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 2}",
			events: `
				10m   event.action=error agent.id=a
				10m   event.action=error agent.id=b
				20m   @5m event.action=error agent.id=a
				20m   @4m59s event.action=error agent.id=b`,
			want: `
				20m0s firing a count 2 from 5m0s`,
		},
		{
			name: "an event from the future happened now",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 2}",
			events: `
				0s   @9h event.action=error agent.id=a
				9m   event.action=error agent.id=a`,
			want: `
				9m0s firing a count 2 from 0s`,
		},
		{
			name: "tumbling days are those of UTC",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 1d\nwindow_kind: tumbling\nhaving: {gte: 2}",
			events: `
				19h59m59s event.action=error agent.id=a
				20h       event.action=error agent.id=a
				20h0m1s   event.action=error agent.id=a`,
			end: "100h",
			want: `
				20h0m1s firing a count 2 from 20h0m0s
				44h0m0s resolved a count 2 from 20h0m0s`,
		},
		{
			name: "a session ends when the gap is over, and at its longest",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nwindow_kind: session\ngap: 4m\nhaving: {gte: 3}",
			events: `
				0s    event.action=error agent.id=a
				3m59s event.action=error agent.id=a
				7m59s event.action=error agent.id=a
				10m   event.action=error agent.id=a
				11m   event.action=error agent.id=a
				19m59s event.action=error agent.id=b`,
			end: "1h",
			want: `
				11m0s firing a count 3 from 7m59s
				15m0s resolved a count 3 from 7m59s`,
		},
		{
			name: "value_count without a group, without the field, and at the edge",
			rule: "value_count\ncondition: event.action == \"error\"\ngroup_by: [agent.type]\nfield: process.name\nwindow: 10m\nhaving: {gte: 3}",
			events: `
				0s    event.action=error agent.type=x process.name=p
				1m    event.action=error agent.type=x process.name=q
				2m    event.action=error process.name=r
				3m    event.action=error agent.type=x
				4m    event.action=error agent.type=x process.name=P
				11m   event.action=error agent.type=x process.name=q
				14m   event.action=error agent.type=x process.name=r
				14m   @11m event.action=error agent.type=x process.name=s`,
			end: "1h",
			want: `
				4m10s firing x count 3 from 4m0s
				10m0s resolved x count 3 from 4m0s
				14m10s firing x count 3 from 11m0s
				21m0s resolved x count 3 from 11m0s`,
		},
		{
			name: "threshold reached again in the moment in which it ends, by a steady beat",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nhaving: {gte: 2}",
			events: `
				0s  event.action=error agent.id=a
				5m  event.action=error agent.id=a
				10m event.action=error agent.id=a
				20m event.action=error agent.id=a`,
			end: "1h",
			want: `
				5m0s firing a count 2 from 0s
				10m0s resolved a count 2 from 0s
				10m0s firing a count 2 from 5m0s
				15m0s resolved a count 2 from 5m0s`,
		},
		{
			name: "metric read once a window",
			rule: "metric\ncondition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nfunction: max\nwindow: 10m\nhaving: {gte: 90}",
			events: `
				0s  edr.resource.cpu_pct=95 agent.id=a
				10m edr.resource.cpu_pct=95 agent.id=a
				20m edr.resource.cpu_pct=10 agent.id=a`,
			end: "1h",
			want: `
				0s firing a count 1 from 0s
				10m0s resolved a count 1 from 0s
				10m0s firing a count 1 from 10m0s
				20m0s resolved a count 1 from 10m0s`,
		},
		{
			name: "median of few, with min_events, and the value on the bound",
			rule: "metric\ncondition: has(edr.resource.cpu_pct)\nfield: edr.resource.cpu_pct\nfunction: p50\nwindow: 10m\nmin_events: 4\nhaving: {gte: 50}",
			events: `
				0s edr.resource.cpu_pct=99 agent.id=a
				1m edr.resource.cpu_pct=99 agent.id=a
				2m edr.resource.cpu_pct=10 agent.id=a
				3m edr.resource.cpu_pct=49 agent.id=a
				4m edr.resource.cpu_pct=50 agent.id=a
				5m edr.resource.cpu_pct=1 agent.id=a`,
			end: "6m", // In order 10 49 50 99 99: the third; then 1 10 49 50 99 99, of which the third is 49.
			want: `
				4m0s firing a count 5 from 4m0s
				5m0s resolved a count 5 from 4m0s`,
		},
		{
			name: "debounce outlasts the session",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nwindow_kind: session\ngap: 30s\ndebounce: 9m\nhaving: {gte: 1}",
			events: `
				0s     event.action=error agent.id=a
				16m    @8m59s event.action=error agent.id=a
				16m    @9m event.action=error agent.id=a`,
			end: "1h",
			want: `
				0s firing a count 1 from 0s
				30s resolved a count 1 from 0s
				16m0s firing a count 1 from 9m0s
				16m0.000000001s resolved a count 1 from 9m0s`,
		},
		{
			name: "an exception holds until its day begins in UTC",
			rule: "match\ncondition: event.action == \"error\"\nexceptions: [{name: image, when: process.name == \"p\", owner: o, expires: 2024-07-20}]",
			events: `
				0s        event.action=error process.name=p agent.id=a
				1s        event.action=error agent.id=a
				19h59m59s event.action=error process.name=p agent.id=a
				20h       @19h59m event.action=error process.name=p agent.id=a`,
			want: `
				1s firing a count 1 from 1s
				20h0m0s firing a count 1 from 19h59m0s`,
		},
		{
			name: "a list counts each value, and is grouped by its first",
			rule: "value_count\ncondition: event.category == \"host\"\ngroup_by: [event.category]\nfield: event.category\nwindow: 10m\nhaving: {gte: 4}",
			events: `
				0s  event.category=host,file,process agent.id=a
				1m  event.category=file,host,registry agent.id=a
				2m  event.category=host,Host agent.id=a
				3m  event.category=host,,driver agent.id=a`,
			end: "1h",
			want: `
				2m10s firing host count 4 from 2m0s
				12m0s resolved host count 6 from 2m0s`,
		},
		{
			name: "events too far apart for a window prolong nothing",
			rule: "threshold\ncondition: event.action == \"error\"\nwindow: 10m\nkeep_firing_for: 1h\nhaving: {gte: 2}",
			events: `
				0s  event.action=error agent.id=a
				1m  event.action=error agent.id=a
				30m event.action=error agent.id=a
				41m event.action=error agent.id=a`,
			end: "3h",
			want: `
				1m0s firing a count 2 from 0s
				1h10m0s resolved a count 4 from 0s`,
		},
		{
			name: "values too far apart for a window prolong nothing",
			rule: "value_count\ncondition: event.action == \"error\"\nfield: process.name\nwindow: 10m\nsuppress: 50m\nhaving: {gte: 2}",
			events: `
				0s     event.action=error agent.id=a process.name=p
				1m     event.action=error agent.id=a process.name=q
				30m    event.action=error agent.id=a process.name=p
				40m30s event.action=error agent.id=a process.name=q
				50m30s event.action=error agent.id=a process.name=p`,
			end: "3h",
			want: `
				1m0s firing a count 2 from 1m0s
				51m0s resolved a count 2 from 1m0s`,
		},
	}
}
