package sigma

import (
	"strconv"
	"strings"
)

// fieldNames maps the fields of Sigma's taxonomy for Windows (event log and
// Sysmon names) to ECS, as Winlogbeat's Sysmon module and Elastic's
// integrations do.
func fieldNames() map[string]string {
	return map[string]string{
		"Image": "process.executable", "OriginalFileName": "process.pe.original_file_name", "CommandLine": "process.command_line",
		"ProcessCommandLine": "process.command_line", "CurrentDirectory": "process.working_directory", "ProcessId": "process.pid",
		"NewProcessName": "process.executable", "ProcessName": "process.executable", "ProcessGuid": "process.entity_id",
		"ParentImage": "process.parent.executable", "ParentProcessName": "process.parent.executable",
		"ParentCommandLine": "process.parent.command_line", "ParentProcessId": "process.parent.pid", "ParentProcessGuid": "process.parent.entity_id",
		"Company": "process.pe.company", "Product": "process.pe.product", "Description": "process.pe.description",
		"FileVersion": "process.pe.file_version", "Imphash": "process.pe.imphash",
		"md5": "process.hash.md5", "sha1": "process.hash.sha1", "sha256": "process.hash.sha256",
		"User": "user.name", "SubjectUserName": "user.name", "SubjectDomainName": "user.domain", "SubjectUserSid": "user.id",
		"TargetUserName": "user.target.name", "TargetDomainName": "user.target.domain",
		"TargetFilename": "file.path", "FileName": "file.name", "Filename": "file.path", "ImageLoaded": "dll.path", "Signed": "dll.code_signature.exists",
		"Signature": "dll.code_signature.subject_name", "SignatureStatus": "dll.code_signature.status",
		"TargetObject": "registry.path", "Details": "registry.data.strings", "ObjectName": "file.path",
		"DestinationIp": "destination.ip", "DestinationHostname": "destination.domain", "DestinationPort": "destination.port",
		"SourceIp": "source.ip", "SourcePort": "source.port", "SourceHostname": "source.domain", "Protocol": "network.transport",
		"IpAddress": "source.ip", "IpPort": "source.port", "QueryName": "dns.question.name", "QueryResults": "dns.answers.data",
		"EventID": "event.code", "Provider_Name": "event.provider", "ProviderName": "event.provider", "Source": "event.provider",
		"Computer": "host.name", "ComputerName": "host.name", "Hostname": "host.name", "Level": "log.level", "Message": "message",
		"ServiceName": "service.name", "ServiceState": "service.state", "Service": "service.name",
		"ErrorCode": "error.code",
	}
}

// categoryNames are fields that mean something else in a category: Description
// is that of the process in most, of the library or driver that is loaded in
// these.
func categoryNames(category string) map[string]string {
	root, names := "", map[string]string{}
	switch category {
	case "image_load":
		root = "dll"
	case "driver_load":
		root, names["ImageLoaded"] = "file", "file.path"
	case "sysmon_error":
		return map[string]string{"Description": "error.message", "ID": "error.type"}
	default:
		return nil
	}
	for name, field := range map[string]string{
		"Company": "pe.company", "Product": "pe.product", "Description": "pe.description", "FileVersion": "pe.file_version", "Imphash": "pe.imphash",
		"OriginalFileName": "pe.original_file_name", "md5": "hash.md5", "sha1": "hash.sha1", "sha256": "hash.sha256", "Signed": "code_signature.exists",
		"Signature": "code_signature.subject_name", "SignatureStatus": "code_signature.status",
	} {
		names[name] = root + "." + field
	}
	return names
}

// vendorField is a field of a record of the Windows event log: in its event
// data, its user data or, as NXLog and flat records have it, at the top. The
// names of Microsoft Defender have spaces where Sigma has none.
func vendorField(name string) string {
	if also, ok := map[string][]string{
		"Channel": {"channel", "Channel", "log_name"}, "Keywords": {"keywords", "Keywords"}, "OpCode": {"opcode", "Opcode"}, "Task": {"task", "Task"},
	}[name]; ok {
		return call("vendor", strconv.Quote(also[0]), also[1:]...)
	}
	paths := []string{"event_data." + name}
	if spaced := strings.ReplaceAll(name, "_", " "); spaced != name {
		paths = append(paths, "event_data."+spaced)
	}
	if words := defenderNames()[name]; words != "" {
		paths = append(paths, "event_data."+words, "event_data."+strings.ReplaceAll(words, " ", "_"))
	}
	paths = append(paths, "user_data."+name, name)
	return call("vendor", strconv.Quote(paths[0]), paths[1:]...)
}

// defenderNames are event data of Microsoft Defender that Sigma writes in one word.
func defenderNames() map[string]string {
	return map[string]string{
		"NewValue": "New Value", "OldValue": "Old Value", "ProductName": "Product Name", "ProductVersion": "Product Version",
		"FeatureName": "Feature Name", "ThreatName": "Threat Name", "SourceName": "Source Name", "ProcessName": "Process Name",
		"SeverityName": "Severity Name", "CategoryName": "Category Name", "ActionName": "Action Name", "DetectionUser": "Detection User",
		"ThreatID": "Threat ID", "ErrorDescription": "Error Description", "ScanType": "Scan Type",
	}
}

// consumed are event data that our own mapping of the Windows event log gives a
// name of ECS, so that they are no longer among the vendor's fields.
func consumed() map[string]string {
	return map[string]string{
		"ImagePath": "process.executable", "ServiceFileName": "process.executable", "param1": "service.name", "NewValue": "registry.path",
		"OldValue": "registry.path", "Value": "edr.tamper.target", "Feature_Name": "edr.component.name", "Hashes": "file.hash.sha256",
		"AppName": "process.name", "FileNameBuffer": "file.path", "ProcessNameBuffer": "process.executable", "Path": "file.path",
		"Reason": "event.reason", "Channel": "log.logger",
	}
}

// exact are fields of which the record says more than what ECS makes of it, or
// that ECS has in one place with others: the record decides where it has them.
func exact() []string {
	return []string{
		"User", "NewValue", "OldValue", "Hashes", "SubjectUserName", "SubjectDomainName", "TargetUserName", "TargetDomainName", "ProcessName", "Path", "Reason",
	}
}

// sources are the conditions that a log source stands for. A source that is
// not listed narrows nothing that can be said in ECS.
func sources(product, category, service string) (conditions []string, ok bool) {
	switch product {
	case "windows", "linux", "macos":
		conditions = append(conditions, `host.os.type == "`+product+`"`)
	case "":
	default:
		return nil, false
	}
	if category != "" {
		c, known := categories()[category]
		if !known {
			return nil, false
		}
		conditions = append(conditions, c.condition())
	}
	if service != "" {
		providers, known := services()[service]
		if !known {
			return nil, false
		}
		if len(providers) > 0 {
			conditions = append(conditions, call("like", "event.provider", providers...))
		}
	}
	return conditions, true
}

// logCategory is a category of log sources: as ECS has it, and as events of the
// Windows event log that no mapping has looked into.
type logCategory struct {
	ecs      string
	sysmon   []string // Event ids of Sysmon.
	provider string   // Of another channel.
	codes    []string
}

func (c logCategory) condition() string {
	var parts []expression
	if c.ecs != "" {
		parts = append(parts, expression{text: c.ecs})
	}
	for _, source := range []struct {
		provider string
		codes    []string
	}{{"Microsoft-Windows-Sysmon", c.sysmon}, {c.provider, c.codes}} {
		if len(source.codes) == 0 {
			continue
		}
		var quoted []string
		for _, code := range source.codes {
			quoted = append(quoted, strconv.Quote(code))
		}
		parts = append(parts, expression{text: "(event.code in [" + strings.Join(quoted, ", ") + "] and " + call("like", "event.provider", source.provider) + ")"})
	}
	return "(" + join("or", parts).text + ")"
}

func categories() map[string]logCategory {
	const shell = "*PowerShell"
	ids := func(list ...string) []string { return list }
	return map[string]logCategory{
		"process_creation":          {`(event.category == "process" and event.type == "start")`, ids("1"), "Microsoft-Windows-Security-Auditing", ids("4688")},
		"process_termination":       {`(event.category == "process" and event.type == "end")`, ids("5"), "", nil},
		"process_access":            {`(event.category == "process" and event.type == "access")`, ids("10"), "", nil},
		"process_tampering":         {"", ids("25"), "", nil},
		"create_remote_thread":      {"", ids("8"), "", nil},
		"raw_access_thread":         {"", ids("9"), "", nil},
		"image_load":                {`event.category == "library"`, ids("7"), "", nil},
		"driver_load":               {`event.category == "driver"`, ids("6"), "", nil},
		"file_event":                {`event.category == "file"`, ids("11"), "", nil},
		"file_access":               {`(event.category == "file" and event.type == "access")`, nil, "", nil},
		"file_delete":               {`(event.category == "file" and event.type == "deletion")`, ids("23", "26"), "", nil},
		"file_change":               {`(event.category == "file" and event.type == "change")`, ids("2"), "", nil},
		"file_rename":               {`(event.category == "file" and event.type == "change")`, nil, "", nil},
		"file_executable_detected":  {"", ids("29"), "", nil},
		"file_block_executable":     {"", ids("27"), "", nil},
		"create_stream_hash":        {"", ids("15"), "", nil},
		"registry_event":            {`event.category == "registry"`, ids("12", "13", "14"), "", nil},
		"registry_set":              {`(event.category == "registry" and event.type == "change")`, ids("13"), "", nil},
		"registry_add":              {`(event.category == "registry" and event.type == "creation")`, ids("12"), "", nil},
		"registry_delete":           {`(event.category == "registry" and event.type == "deletion")`, ids("12"), "", nil},
		"registry_rename":           {`(event.category == "registry" and event.type == "change")`, ids("14"), "", nil},
		"network_connection":        {`event.category == "network"`, ids("3"), "", nil},
		"dns_query":                 {`event.category == "network"`, ids("22"), "", nil},
		"pipe_created":              {"", ids("17", "18"), "", nil},
		"wmi_event":                 {"", ids("19", "20", "21"), "", nil},
		"clipboard_capture":         {"", ids("24"), "", nil},
		"sysmon_status":             {"", ids("4", "16"), "", nil},
		"sysmon_error":              {"", ids("255"), "", nil},
		"ps_script":                 {"", nil, shell, ids("4104")},
		"ps_module":                 {"", nil, shell, ids("4103")},
		"ps_classic_start":          {"", nil, shell, ids("400")},
		"ps_classic_provider_start": {"", nil, shell, ids("600")},
		"antivirus":                 {`event.category == "malware"`, nil, "", nil},
	}
}

// services are the providers of the channels that Sigma names; none: the
// channel has events of many.
func services() map[string][]string {
	return map[string][]string{
		"security": {"Microsoft-Windows-Security-Auditing", "Microsoft-Windows-Eventlog", "Security"}, "system": nil, "application": nil,
		"windefend":                 {"Microsoft-Windows-Windows Defender"},
		"sysmon":                    {"Microsoft-Windows-Sysmon"},
		"codeintegrity-operational": {"Microsoft-Windows-CodeIntegrity"},
		"taskscheduler":             {"Microsoft-Windows-TaskScheduler"},
		"powershell":                {"Microsoft-Windows-PowerShell"}, "powershell-classic": {"PowerShell"},
		"firewall-as":           {"Microsoft-Windows-Windows Firewall With Advanced Security"},
		"applocker":             {"Microsoft-Windows-AppLocker"},
		"security-mitigations":  {"Microsoft-Windows-Security-Mitigations"},
		"wmi":                   {"Microsoft-Windows-WMI-Activity"},
		"bits-client":           {"Microsoft-Windows-Bits-Client"},
		"ntlm":                  {"Microsoft-Windows-NTLM"},
		"driver-framework":      {"Microsoft-Windows-DriverFrameworks-UserMode"},
		"iis-configuration":     {"Microsoft-Windows-IIS-Configuration"},
		"ldap":                  {"Microsoft-Windows-LDAP-Client"},
		"appxdeployment-server": {"Microsoft-Windows-AppXDeployment-Server"},
		"auditd":                nil, "syslog": nil, "auth": nil,
	}
}
