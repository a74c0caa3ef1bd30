package rules

func (st *rollupState) rebind(r *Rule) { st.r = r }
