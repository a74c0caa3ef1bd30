package event_test

import (
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/ecs"
	"github.com/edrwatch/edrwatch/pipeline/event"
)

func TestVendorText(t *testing.T) {
	dict, err := ecs.New()
	if err != nil {
		t.Fatal(err)
	}
	e := event.New(dict)
	e.SetVendor("winlog")
	e.Extra("channel", `"Security"`)
	e.Extra("event_data.StartType", `"auto start"`)
	e.Extra("event_data", `{"New Value": "HKLM\\a \"b\"", "x.y" : 5, "deep":{"list":[1,"}"],"on":true}, "none":null,"last":"z"}`)
	for path, want := range map[string]string{
		"channel": "Security", "event_data.StartType": "auto start", "event_data.New Value": `HKLM\a "b"`, "event_data.x.y": "5",
		"event_data.deep.on": "true", "event_data.last": "z",
		"event_data.deep": "", "event_data.deep.list": "", "event_data.none": "", "event_data.Last": "", "chan": "", "channel.x": "", "": "",
	} {
		if got, ok := e.VendorText(path); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", path, got, ok, want)
		}
	}
}

func FuzzVendorText(f *testing.F) {
	f.Add(`{"a":{"b":[1,2,{"c":"\""}]},"d":"e"}`, "a.b")
	f.Add(`{"a":`, "a")
	f.Add(`{"a"}`, "b")
	dict, err := ecs.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, fragment, path string) {
		e := event.New(dict)
		e.Extra("x", fragment)
		e.VendorText("x." + path)
	})
}
