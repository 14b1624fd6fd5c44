/**
 * The conformance suite of boards: plays a server against an emulated board of this process, or against a
 * real one that connects. A real board shows only its wire; cases that need more are unsupported there.
 */
import { runCases } from './case-runner.ts';
import type { CaseResult, ConformanceCase } from './conformance-case.ts';
import { deviceAudioCases } from './device-audio-cases.ts';
import { deviceConnectionCases } from './device-connection-cases.ts';
import { deviceMessageCases } from './device-message-cases.ts';
import { DeviceStage, type DeviceSuiteOptions } from './device-stage.ts';
import { deviceUploadCases } from './device-upload-cases.ts';

export const deviceCases: readonly ConformanceCase<DeviceStage>[] = [
  ...deviceConnectionCases,
  ...deviceMessageCases,
  ...deviceUploadCases,
  ...deviceAudioCases,
];

export interface DeviceSuiteRun {
  readonly cases: readonly ConformanceCase<DeviceStage>[];
  readonly signal: AbortSignal;
  readonly onResult?: (result: CaseResult) => void;
  /** The suite listens; a real board can be sent there. */
  readonly onListening?: (port: number) => void;
}

/** Every case has a server and, when emulated, a board of its own. */
export async function runDeviceSuite(
  options: DeviceSuiteOptions,
  { cases, signal, onResult, onListening }: DeviceSuiteRun,
): Promise<CaseResult[]> {
  let stage: DeviceStage | undefined;
  const listener = await options.network.listen(options.endpoint, (stream) => {
    if (stage === undefined) stream.destroy();
    else stage.arrive(stream);
  });
  onListening?.(listener.endpoint.port);
  try {
    return await runCases({
      cases,
      clock: options.clock,
      createStage: (caseSignal) => {
        stage = new DeviceStage(options, listener.endpoint, caseSignal);
        return stage;
      },
      // The longest case waits for the idle timer of 300 s twice.
      caseLimitMs: 900_000,
      signal,
      ...(onResult !== undefined && { onResult }),
    });
  } finally {
    stage = undefined;
    await listener.close();
  }
}
