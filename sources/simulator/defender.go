package simulator

// appendDeviceInfo appends a row of the DeviceInfo table as Defender XDR
// streams it: the advanced hunting envelope with the columns as properties.
func (f *Fleet) appendDeviceInfo(dst []byte, a *agent, it item) []byte {
	dst = f.appendDevice(dst, a, it, "DeviceInfo")
	dst = append(dst, `","PublicIP":"`...)
	dst = a.appendPublicIP(dst)
	dst = append(dst, '"')
	client, platform, build := "10.8735.22631.1011", "Windows11", int64(22631)
	if a.class == server {
		client, platform, build = "10.8735.20348.2527", "WindowsServer2022", 20348
	}
	dst = text(dst, "ClientVersion", client)
	dst = text(dst, "OSPlatform", platform)
	dst = number(dst, "OSBuild", build)
	dst = text(dst, "OSVersion", "10.0")
	dst = number(dst, "ReportId", 638_000_000_000_000_000+it.event%1_000_000_000*100+int64(a.index%100))
	dst = append(dst, `,"OSArchitecture":"64-bit","IsAzureADJoined":true,"JoinType":"Hybrid Azure AD Join","LoggedOnUsers":"[]","RegistryDeviceTag":"ring-`...)
	dst = append(dst, '0'+a.ring, '"')
	dst = text(dst, "MachineGroup", siteCodes[a.site])
	dst = text(dst, "DeviceType", [...]string{"Server", "Workstation", "Workstation"}[a.class])
	dst = text(dst, "Vendor", a.hardware().manufacturer)
	dst = text(dst, "Model", a.hardware().model)
	return append(dst, `,"OnboardingStatus":"Onboarded","SensorHealthState":"Active","ExposureLevel":"Low","IsExcluded":false,"ExclusionReason":null,`+
		`"MergedDeviceIds":"","MergedToDeviceId":"","AdditionalFields":null,"OSDistribution":null,"AadDeviceId":null}}`...)
}

// appendDevice appends the beginning of a row of a table of Defender XDR: its
// envelope, the device and the time, whose quotation mark is still to come.
func (f *Fleet) appendDevice(dst []byte, a *agent, it item, table string) []byte {
	dst = append(dst, `{"time":"`...)
	dst = stamp(dst, f.now, 7)
	dst = append(dst, `","tenantId":"`...)
	dst = appendUUID(dst, f.id(&f.agents[0], saltMachine))
	dst = append(dst, `","operationName":"Publish","category":"AdvancedHunting-`...)
	dst = append(dst, table...)
	dst = append(dst, `","_TimeReceivedBySvc":"`...)
	dst = stamp(dst, it.event+1, 7)
	dst = append(dst, `","properties":{"DeviceId":"`...)
	dst = f.appendAgentID(dst, a)
	dst = append(dst, `","DeviceName":"`...)
	dst = a.appendName(dst)
	dst = append(dst, "."+domain...)
	dst = append(dst, `","Timestamp":"`...)
	return stamp(dst, it.event, 7)
}

// appendDefinitions appends a row of the DeviceEvents table that tells of new
// security intelligence.
func (f *Fleet) appendDefinitions(dst []byte, a *agent, it item) []byte {
	push, _ := f.config.Scenario.Incidents[it.arg].play.(*definitionsPush)
	dst = f.appendDevice(dst, a, it, "DeviceEvents")
	dst = append(dst, `","ActionType":"AntivirusDefinitionsUpdated"`...)
	dst = number(dst, "ReportId", int64(a.sent))
	dst = text(dst, "AdditionalFields", `{"CurrentSignatureVersion":"`+push.Version+`"}`)
	return append(dst, `}}`...)
}
