/**
 * The harness as a library: load scenarios, plan, run, read recordings, measure, judge, report.
 * What the command line does with it is in `harness/cli/run-command.ts`.
 */

// Time, chance, connections
export type { Alarm, Clock } from './clock/clock.ts';
export { SimulatedClock } from './clock/simulated-clock.ts';
export { SystemClock } from './clock/system-clock.ts';
export type { Acoustics, SpeakerEcho } from './device/acoustics.ts';
export { ConsolePrinter, type ConsoleSettings } from './device/console.ts';
export type { DeviceEvent, DeviceState } from './device/device-event.ts';
// The emulated board
export { type DeviceProfile, deviceProfiles } from './device/device-profile.ts';
export { createEmulatedDevice, type EmulatedDevice } from './device/emulated-device.ts';
export { type QuirkId, quirks } from './device/quirk.ts';
export {
  openRelaySocket,
  type RelaySocket,
  type RelaySocketListener,
} from './device/relay-socket.ts';
// Configurations
export { EchoKitConfigError } from './echokit-config/config-problem.ts';
export { type EchoKitConfig, readEchoKitConfigFile } from './echokit-config/echokit-config.ts';
export type { Defect, DefectKind, DefectPlace, SoundStage } from './inspection/defect.ts';
export { inspectCell } from './inspection/inspection.ts';
export { type ProviderSound, readProviderSounds } from './inspection/provider-sound.ts';
export { type CellMeasurement, measureCell } from './metrics/measure.ts';
export { metricCatalog } from './metrics/metric-catalog.ts';
export { MemoryNetwork } from './network/memory-network.ts';
export type { Network } from './network/network.ts';
export { networkProfiles } from './network/network-profile.ts';
export { SocketNetwork } from './network/socket-network.ts';
export { loadOpus } from './opus/opus-codec.ts';
export { createRandom, type Random } from './random/random.ts';
export { chromeTrace, type TracedCell } from './report/chrome-trace.ts';
export { csvReport } from './report/csv-report.ts';
export { ctrfReport } from './report/ctrf-report.ts';
export { githubAnnotations } from './report/github-annotations.ts';
export { jsonReport } from './report/json-report.ts';
export { junitReport } from './report/junit-report.ts';
export { markdownReport } from './report/markdown-report.ts';
export { buildRunReport, type RunReport, reportData } from './report/run-report.ts';
export { renderTerminalReport } from './report/terminal-report.ts';
// Running
export { type Laboratory, openLaboratory } from './runner/laboratory.ts';
export { planNeeds } from './runner/plan-needs.ts';
export {
  builtInProviders,
  configuredProvider,
  type ProviderEntry,
  providerEntry,
} from './runner/provider-catalog.ts';
export { checkProvider, type ProviderCheck, probeNeeds } from './runner/provider-check.ts';
export { RequestBudget, type RequestCount, withinBudget } from './runner/request-budget.ts';
export { type CellResult, runPlan } from './runner/run-plan.ts';
// Scenarios
export { loadScenario, loadScenarioFile, type ScenarioCatalog } from './scenario/load.ts';
export { type Cell, type Plan, planRun } from './scenario/plan.ts';
export type { Scenario } from './scenario/scenario.ts';
// Boards on a cable
export { type ChosenBoard, chooseBoard } from './serial/board-choice.ts';
export type { BoardPort } from './serial/board-port.ts';
export { type RegisteredBoard, readRegistry } from './serial/board-registry.ts';
export {
  ConsoleReader,
  type ConsoleReaderOptions,
  type ReadLine,
} from './serial/console-reader.ts';
export { listPorts, type SerialPortInfo } from './serial/port-list.ts';
export {
  type BridgeEvent,
  SerialLinkBridge,
  type SerialLinkBridgeOptions,
  type ServerDialer,
} from './serial/serial-link-bridge.ts';
export { SerialLinkSession, type SerialLinkSessionOptions } from './serial/serial-link-session.ts';
export type { StoryEvent } from './serial/story-event.ts';
export { explainStory, heapTrendText } from './serial/story-text.ts';
// The adapter server and the stand-ins
export { type AdapterServer, createAdapterServer } from './server/adapter-server.ts';
export { loadOfflineVoice, type OfflineVoice } from './stand-ins/offline-voice.ts';
export { createStandIn, type StandIn, standInPlatforms } from './stand-ins/stand-in.ts';
// Recordings
export { readRecording } from './trace/recording-reader.ts';
export type { TraceEvent, TraceHeader } from './trace/trace-event.ts';
export { judge, type Verdict } from './verdict/judge.ts';
export { loadVoiceDetection } from './voice-detection/voice-detection.ts';
