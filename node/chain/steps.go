package chain

// The steps at which Options.Hook is called.
const (
	stepExtendWritten  = "extend: trailers written"
	stepExtendSynced   = "extend: trailers synced"
	stepExtendDone     = "extend: state replaced"
	stepProvenDone     = "proven: state replaced"
	stepReplaceSource  = "replace: trailers put beside the chain"
	stepSwitchBegun    = "switch: source synced"
	stepSwitchGrown    = "switch: longer part appended"
	stepSwitchState    = "switch: new state written"
	stepSwitchDecided  = "switch: journal written"
	stepSwitchHalf     = "switch: first part overwritten"
	stepSwitchCopied   = "switch: trailers in place"
	stepSwitchStated   = "switch: state replaced"
	stepSwitchCut      = "switch: old end cut off"
	stepSwitchCleared  = "switch: source removed"
	stepSwitchDone     = "switch: journal removed"
	stepRepairKept     = "repair: damaged part set aside"
	stepRepairState    = "repair: state replaced"
	stepStageWritten   = "staging: trailers written"
	stepStageDone      = "staging: range recorded"
	stepStageWorked    = "staging: work recorded"
	stepStageCut       = "staging: cut recorded"
	stepStageRemoved   = "staging: log removed"
	stepImportCopied   = "import: file copied"
	stepImportVerified = "import: copy verified"
)

// Steps returns the steps at which Options.Hook is called.
func Steps() []string {
	return []string{
		stepExtendWritten, stepExtendSynced, stepExtendDone, stepProvenDone,
		stepReplaceSource, stepSwitchBegun, stepSwitchGrown, stepSwitchState, stepSwitchDecided,
		stepSwitchHalf, stepSwitchCopied, stepSwitchStated, stepSwitchCut, stepSwitchCleared, stepSwitchDone,
		stepRepairKept, stepRepairState,
		stepStageWritten, stepStageDone, stepStageWorked, stepStageCut, stepStageRemoved,
		stepImportCopied, stepImportVerified,
	}
}
