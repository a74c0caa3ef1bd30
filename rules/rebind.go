package rules

func (o *occurrences) rebind(r *Rule) { o.r = r }
func (w *dataWatch) rebind(r *Rule)   { w.r = r }

func (st *matchState) rebind(r *Rule)      { st.r = r; st.watch.rebind(r) }
func (st *metricState) rebind(r *Rule)     { st.r = r; st.watch.rebind(r) }
func (st *thresholdState) rebind(r *Rule)  { st.r = r }
func (st *valueCountState) rebind(r *Rule) { st.r = r }
func (st *bucketState) rebind(r *Rule)     { st.r = r }
func (st *bucketMetric) rebind(r *Rule)    { st.r = r; st.found.rebind(r) }
func (st *silenceState) rebind(r *Rule)    { st.r = r }
func (st *sequenceState) rebind(r *Rule)   { st.r = r; st.found.rebind(r) }
func (st *changeState) rebind(r *Rule)     { st.r = r; st.found.rebind(r) }
func (st *newTermsState) rebind(r *Rule)   { st.r = r; st.found.rebind(r) }
func (st *anomalyState) rebind(r *Rule)    { st.r = r; st.found.rebind(r) }
func (st *spikeState) rebind(r *Rule)      { st.r = r; st.found.rebind(r) }
func (st *rollupState) rebind(r *Rule)     { st.r = r }
func (st *fleetState) rebind(r *Rule)      { st.r = r }
func (w *fleetWatch) rebind(*Rule)         {}
func (noState) rebind(*Rule)               {}
