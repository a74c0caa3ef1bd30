package rules

import (
	"path"
	"strings"
	"testing"
)

// themes are what can go wrong with agents, each with shipped rules about it by
// the names of their files.
func themes() map[string]string {
	return map[string]string{
		"CPU":                                "cpu_spike cpu_sustained cpu_p95 cpu_sparse cpu_many_hosts",
		"memory":                             "memory_limit memory_trend memory_unusual memory_many_hosts",
		"handles and threads":                "handles_limit threads_limit",
		"disk":                               "disk_full",
		"restarts":                           "restart_storm restart_count_high",
		"crashes":                            "crash_loop crash_same_place crash_new_kind crash_many_hosts crash_after_update",
		"service configuration":              "service_disabled service_not_automatic service_logon_failed start_failed",
		"silence":                            "silent_server silent_unknown silent_on_living_host silent_after_update mass_silence site_outage pipeline_silence",
		"alive and without telemetry":        "alive_but_blind event_source_failed",
		"stale content":                      "stale_reported update_failing required_not_reached",
		"reduced functionality":              "reduced_functionality reduced_on_many degraded state_reduced",
		"protection switched off":            "protection_disabled disabled_on_many state_disabled",
		"exclusions":                         "exclusion_changed exclusion_broad exclusion_many exclusion_in_console",
		"tamper":                             "tamper_attempt tamper_not_blocked tamper_on_many tamper_several_ways tampered_until_stopped silent_after_tamper tamper_protection_off",
		"uninstalled":                        "uninstalled uninstalled_on_many gone_from_inventory",
		"uninstall token":                    "uninstall_token tokens_of_many token_then_uninstalled account_uninstall_password",
		"policy assigned and not applied":    "policy_failing policy_fails_on_many policy_lost policy_invalid",
		"version and content compliance":     "version_unsupported version_downgrade content_backwards reverted upgrade_failed",
		"mode":                               "mode_changed mode_lost_kernel",
		"least privilege":                    "privilege_drift process_account_changed permissions_missing",
		"host crash after an agent's":        "agent_then_host_crash boot_loop mass_crash several_hosts_crash",
		"sandbox or helper failing":          "engine_failed containment_failed",
		"unsigned or wrongly signed modules": "driver_unsigned driver_wrong_signer module_new",
		"code integrity":                     "driver_blocked blocked_on_many would_be_blocked",
		"telemetry loss":                     "dropped dropped_on_many connection_failures stream_stopped log_full audit_policy",
		"log clearing":                       "log_cleared log_service_stopped",
		"clock":                              "clock_future clock_jumped",
		"frozen or silenced":                 "process_frozen tamper_wfp minifilter_unloaded vulnerable_driver",
		"rollout":                            "bad_rollout",
	}
}

// TestLibraryCoversItsThemes: of every theme there are rules, and each tells
// whoever gets its alert what to do, what is harmless, what it does not see,
// and where to read more.
func TestLibraryCoversItsThemes(t *testing.T) {
	files, err := Parse(Library())
	if err != nil {
		t.Fatal(err)
	}
	if files.Len() < 80 {
		t.Errorf("%d rules, expected 80 or more", files.Len())
	}
	shipped := map[string]bool{}
	for _, s := range files.Sources() {
		shipped[strings.TrimSuffix(path.Base(s.File), ".yml")] = true
		h := s.Decl.Shared()
		if h.Maturity != "production" || len(h.FalsePositives) == 0 || len(h.KnownGaps) == 0 || len(h.References) == 0 || !strings.Contains(h.Note, "## Triage") {
			t.Errorf("%s lacks maturity production, false_positives, known_gaps, references or a triage note", s.File)
		}
	}
	for theme, names := range themes() {
		for name := range strings.FieldsSeq(names) {
			if !shipped[name] {
				t.Errorf("%s: there is no rule %s", theme, name)
			}
		}
	}
}
