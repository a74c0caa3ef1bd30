package simulator

// software is one version of a vendor's agent.
type software struct {
	major, minor, build int
	share               float64
}

func (s software) atLeast(major, minor int) bool {
	return s.major > major || s.major == major && s.minor >= minor
}

// falconVersions are the sensor versions in the fleet, newest first. Channel
// File 291 concerned sensors from 7.11 on.
var falconVersions = [...]software{
	{7, 16, 18613, 0.45}, {7, 15, 18514, 0.25}, {7, 14, 18408, 0.12}, {7, 11, 18110, 0.08}, {7, 10, 17706, 0.06}, {7, 6, 17106, 0.04},
}

// version is the version of the agent's sensor; sensors that an incident
// brings follow the list.
func (f *Fleet) version(a *agent) software {
	if int(a.sensor) < len(falconVersions) {
		return falconVersions[a.sensor]
	}
	return f.newSensors[int(a.sensor)-len(falconVersions)]
}
