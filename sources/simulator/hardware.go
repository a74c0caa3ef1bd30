package simulator

// hardware is a model of computer with its firmware.
type hardware struct{ manufacturer, model, bios, chassis string }

const modelsPerClass = 3

// models are the hardware of the fleet by class.
var models = [...][modelsPerClass]hardware{
	server: {
		{"Dell Inc.", "PowerEdge R750", "1.12.1", "Rack Mount Chassis"},
		{"HPE", "ProLiant DL380 Gen10", "U30", "Rack Mount Chassis"},
		{"Lenovo", "ThinkSystem SR650", "IVE172N-3.20", "Rack Mount Chassis"},
	},
	desktop: {
		{"Dell Inc.", "OptiPlex 7090", "1.19.0", "Desktop"},
		{"HP", "EliteDesk 800 G6", "S21 Ver. 02.14.00", "Desktop"},
		{"LENOVO", "ThinkCentre M70q", "M3GKT3AA", "Desktop"},
	},
	laptop: {
		{"Dell Inc.", "Latitude 7420", "1.27.1", "Notebook"},
		{"HP", "EliteBook 840 G8", "T76 Ver. 01.13.00", "Notebook"},
		{"LENOVO", "ThinkPad T14", "N2WET30W (1.20 )", "Notebook"},
	},
}

func (a *agent) hardware() hardware { return models[a.class][a.model] }

// isModel reports whether name is that of a model.
func isModel(name string) bool {
	for _, class := range models {
		for _, h := range class {
			if h.model == name {
				return true
			}
		}
	}
	return false
}

// appendHardware appends what a sensor says about its computer.
func appendHardware(dst []byte, a *agent) []byte {
	h := a.hardware()
	dst = text(dst, "SystemManufacturer", h.manufacturer)
	dst = text(dst, "SystemProductName", h.model)
	dst = text(dst, "BiosManufacturer", h.manufacturer)
	dst = text(dst, "BiosVersion", h.bios)
	dst = text(dst, "ChassisManufacturer", h.manufacturer)
	return text(dst, "ChassisType", h.chassis)
}
