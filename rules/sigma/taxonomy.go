package sigma

import "strings"

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
		"TargetFilename": "file.path", "FileName": "file.name", "ImageLoaded": "dll.path", "Signed": "dll.code_signature.exists",
		"Signature": "dll.code_signature.subject_name", "SignatureStatus": "dll.code_signature.status",
		"TargetObject": "registry.path", "Details": "registry.data.strings", "ObjectName": "file.path",
		"DestinationIp": "destination.ip", "DestinationHostname": "destination.domain", "DestinationPort": "destination.port",
		"SourceIp": "source.ip", "SourcePort": "source.port", "SourceHostname": "source.domain", "Protocol": "network.transport",
		"IpAddress": "source.ip", "IpPort": "source.port", "QueryName": "dns.question.name", "QueryResults": "dns.answers.data",
		"EventID": "event.code", "EventType": "event.action", "Provider_Name": "event.provider", "ProviderName": "event.provider", "Source": "event.provider",
		"Computer": "host.name", "ComputerName": "host.name", "Hostname": "host.name", "Level": "log.level", "Message": "message",
		"ServiceName": "service.name", "ServiceState": "service.state", "Service": "service.name",
		"TaskName": "event.reason", "ErrorCode": "error.code",
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
	categories := map[string]string{
		"process_creation":    `(event.category == "process" and event.type == "start")`,
		"process_termination": `(event.category == "process" and event.type == "end")`,
		"process_access":      `(event.category == "process" and event.type == "access")`,
		"image_load":          `event.category == "library"`,
		"driver_load":         `event.category == "driver"`,
		"file_event":          `event.category == "file"`,
		"file_delete":         `(event.category == "file" and event.type == "deletion")`,
		"file_change":         `(event.category == "file" and event.type == "change")`,
		"registry_event":      `event.category == "registry"`,
		"registry_set":        `(event.category == "registry" and event.type == "change")`,
		"registry_add":        `(event.category == "registry" and event.type == "creation")`,
		"registry_delete":     `(event.category == "registry" and event.type == "deletion")`,
		"network_connection":  `event.category == "network"`,
		"dns_query":           `event.category == "network"`,
	}
	if category != "" {
		c, known := categories[category]
		if !known {
			return nil, false
		}
		conditions = append(conditions, c)
	}
	services := map[string]string{
		"security": "Microsoft-Windows-Security-Auditing, Microsoft-Windows-Eventlog", "system": "", "application": "",
		"windefend":                 "Microsoft-Windows-Windows Defender",
		"sysmon":                    "Microsoft-Windows-Sysmon",
		"codeintegrity-operational": "Microsoft-Windows-CodeIntegrity",
		"taskscheduler":             "Microsoft-Windows-TaskScheduler",
		"powershell":                "Microsoft-Windows-PowerShell",
		"auditd":                    "", "syslog": "",
	}
	if service != "" {
		providers, known := services[service]
		if !known {
			return nil, false
		}
		if providers != "" {
			conditions = append(conditions, `like(event.provider, "`+strings.ReplaceAll(providers, ", ", `", "`)+`")`)
		}
	}
	return conditions, true
}
