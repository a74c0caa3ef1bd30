package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kustomization has the keys of a kustomization that we use.
type kustomization struct {
	meta.TypeMeta `json:",inline"`
	Namespace     string   `json:"namespace"`
	Resources     []string `json:"resources"`
}

// kinds are the types that manifests are decoded into: an unknown or misspelt
// key and a value of the wrong type are errors.
func kinds() map[string]func() any {
	return map[string]func() any{
		"v1/Namespace":                                  func() any { return new(core.Namespace) },
		"v1/ConfigMap":                                  func() any { return new(core.ConfigMap) },
		"v1/Service":                                    func() any { return new(core.Service) },
		"v1/ServiceAccount":                             func() any { return new(core.ServiceAccount) },
		"apps/v1/StatefulSet":                           func() any { return new(apps.StatefulSet) },
		"batch/v1/Job":                                  func() any { return new(batch.Job) },
		"policy/v1/PodDisruptionBudget":                 func() any { return new(policy.PodDisruptionBudget) },
		"networking.k8s.io/v1/NetworkPolicy":            func() any { return new(networking.NetworkPolicy) },
		"monitoring.coreos.com/v1/PodMonitor":           func() any { return new(monitoring.PodMonitor) },
		"kustomize.config.k8s.io/v1beta1/Kustomization": func() any { return new(kustomization) },
	}
}

// manifests decodes all documents of deploy/kubernetes, by file.
func manifests(t *testing.T) map[string][]any {
	t.Helper()
	files, err := filepath.Glob("../kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("listing manifests: %d files, %v", len(files), err)
	}
	all := map[string][]any{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range strings.Split(string(src), "\n---\n") {
			var header meta.TypeMeta
			if err := yaml.Unmarshal([]byte(document), &header); err != nil {
				t.Fatalf("%s, document %d: %v", file, i, err)
			}
			make, ok := kinds()[header.APIVersion+"/"+header.Kind]
			if !ok {
				t.Fatalf("%s, document %d: unknown kind %s/%s", file, i, header.APIVersion, header.Kind)
			}
			object := make()
			if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
				t.Errorf("%s, document %d: %v", file, i, err)
			}
			all[filepath.Base(file)] = append(all[filepath.Base(file)], object)
		}
	}
	return all
}

func TestManifestsAreValidAndListed(t *testing.T) {
	all := manifests(t)
	listed := map[string]bool{"kustomization.yaml": true, "podmonitor.yaml": true}
	for _, name := range all["kustomization.yaml"][0].(*kustomization).Resources {
		listed[name] = true
		if all[name] == nil {
			t.Errorf("kustomization.yaml lists %s, which does not exist", name)
		}
	}
	for name := range all {
		if !listed[name] {
			t.Errorf("kustomization.yaml does not list %s", name)
		}
	}
}

// statefulSet returns the one StatefulSet.
func statefulSet(t *testing.T) *apps.StatefulSet {
	t.Helper()
	for _, object := range manifests(t)["kafka.yaml"] {
		if set, ok := object.(*apps.StatefulSet); ok {
			return set
		}
	}
	t.Fatal("kafka.yaml has no StatefulSet")
	return nil
}

func TestPodReferencesWhatExists(t *testing.T) {
	set := statefulSet(t)
	pod := set.Spec.Template.Spec
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil {
			found := false
			for _, object := range manifests(t)["configmap.yaml"] {
				found = found || object.(*core.ConfigMap).Name == v.ConfigMap.Name
			}
			if !found {
				t.Errorf("volume %s: no ConfigMap %s", v.Name, v.ConfigMap.Name)
			}
		}
	}
	for _, claim := range set.Spec.VolumeClaimTemplates {
		volumes[claim.Name] = true
	}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, mount := range c.VolumeMounts {
			if !volumes[mount.Name] {
				t.Errorf("container %s mounts %s, which is no volume of the pod", c.Name, mount.Name)
			}
		}
		ports := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		for what, probe := range map[string]*core.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
			switch {
			case probe == nil:
				t.Errorf("container %s has no %s probe", c.Name, what)
			case probe.HTTPGet != nil && !ports[probe.HTTPGet.Port.String()]:
				t.Errorf("container %s: its %s probe asks port %s, which it does not have", c.Name, what, probe.HTTPGet.Port.String())
			case probe.TCPSocket != nil && !ports[probe.TCPSocket.Port.String()]:
				t.Errorf("container %s: its %s probe asks port %s, which it does not have", c.Name, what, probe.TCPSocket.Port.String())
			}
		}
	}
	for key, value := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[key] != value {
			t.Errorf("the selector wants %s=%s, the pod has %q", key, value, set.Spec.Template.Labels[key])
		}
	}
}

func TestContainersAreRestricted(t *testing.T) {
	pod := statefulSet(t).Spec.Template.Spec
	job := manifests(t)["topics.yaml"][0].(*batch.Job).Spec.Template.Spec
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers, job.Containers) {
		if err := restricted(c); err != nil {
			t.Errorf("container %s: %v", c.Name, err)
		}
	}
	sidecar := pod.InitContainers[0]
	if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Errorf("container %s is no native sidecar: restartPolicy is not Always", sidecar.Name)
	}
	if c := sidecar.SecurityContext; c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
		t.Errorf("container %s can write to its root file system", sidecar.Name)
	}
	// The start-up probe of a sidecar holds back the containers after it.
	if path := sidecar.StartupProbe.HTTPGet.Path; path != "/livez" {
		t.Errorf("container %s: its startup probe asks %s, which may wait for the Kafka that waits for it", sidecar.Name, path)
	}
}

// restricted holds a container against the restricted pod security standard
// and demands requests and a memory limit.
func restricted(c core.Container) error {
	s := c.SecurityContext
	switch {
	case s == nil:
		return fmt.Errorf("no security context")
	case s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0:
		return fmt.Errorf("runs as root")
	case s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
		return fmt.Errorf("may gain privileges")
	case s.Capabilities == nil || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || len(s.Capabilities.Add) > 0:
		return fmt.Errorf("keeps capabilities")
	case s.SeccompProfile == nil || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault:
		return fmt.Errorf("no seccomp profile")
	case c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero():
		return fmt.Errorf("no requests or no memory limit")
	}
	return nil
}
