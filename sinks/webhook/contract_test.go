package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/edrwatch/edrwatch/pipeline/respond"
	"github.com/edrwatch/edrwatch/pipeline/respond/respondtest"
)

// receiver is an HTTP server that takes acts, or alerts as an Alertmanager does.
type receiver struct {
	*httptest.Server
	idOf func(body *json.Decoder) (string, error)

	mu     sync.Mutex
	broken bool
	alerts []string
}

func newReceiver(t *testing.T, idOf func(*json.Decoder) (string, error)) *receiver {
	t.Helper()
	r := &receiver{idOf: idOf}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	id, err := r.idOf(json.NewDecoder(request.Body))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.alerts = append(r.alerts, id)
}

func (r *receiver) Alerts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.alerts...)
}

func (r *receiver) Break(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

func TestContract(t *testing.T) {
	respondtest.Run(t, "webhook", func(t *testing.T) (respond.Responder, respondtest.Receiver) {
		to := newReceiver(t, func(body *json.Decoder) (string, error) {
			var a respond.Act
			err := body.Decode(&a)
			return a.Alert.ID, err
		})
		return webhookTo(t, to.URL), to
	})
}

func TestAlertmanagerContract(t *testing.T) {
	respondtest.Run(t, "alertmanager", func(t *testing.T) (respond.Responder, respondtest.Receiver) {
		to := newReceiver(t, func(body *json.Decoder) (string, error) {
			var alerts [1]struct{ Labels map[string]string }
			err := body.Decode(&alerts)
			return alerts[0].Labels["alert_id"], err
		})
		cfg := DefaultAlertmanagerConfig()
		cfg.URL, cfg.AllowedHosts, cfg.AllowPrivate = to.URL, []string{"127.0.0.1"}, true
		m, err := NewAlertmanager(cfg, settings())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m, to
	})
}
