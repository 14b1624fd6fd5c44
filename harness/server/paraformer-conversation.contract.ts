/**
 * One conversation with Paraformer, message by message. Origin: Alibaba Cloud Model Studio, "Paraformer real-time
 * speech recognition client events" and "Server-sent events for real-time speech recognition (Paraformer)" (June
 * 2026), with the values that the EchoKit server writes (EchoKit device protocol reference, sections 7.4 and 9.2).
 * For tests: the side of the service is played against our client, and the side of the client against our
 * stand-in.
 */

export const goldenPath = '/api-ws/v1/inference';

export const goldenHeaders = {
  authorization: 'Bearer sk_golden',
  'x-dashscope-datainspection': 'enable',
} as const;

export function runTask(taskId: string, semantic: boolean): object {
  return {
    header: { action: 'run-task', task_id: taskId, streaming: 'duplex' },
    payload: {
      task_group: 'audio',
      task: 'asr',
      function: 'recognition',
      model: 'paraformer-realtime-v2',
      parameters: { format: 'pcm', sample_rate: 16_000, semantic_punctuation_enabled: semantic },
      input: {},
    },
  };
}

export function finishTask(taskId: string): object {
  return {
    header: { action: 'finish-task', task_id: taskId, streaming: 'duplex' },
    payload: { input: {} },
  };
}

export function taskStarted(taskId: string): object {
  return { header: { task_id: taskId, event: 'task-started', attributes: {} }, payload: {} };
}

/** As documented: times and usage are null until the sentence has ended. */
export function result(taskId: string, text: string, sentenceEnd: boolean): object {
  const words = [{ begin_time: 170, end_time: 295, text: text.slice(0, 1), punctuation: '，' }];
  return {
    header: { task_id: taskId, event: 'result-generated', attributes: {} },
    payload: {
      output: {
        sentence: {
          begin_time: 170,
          end_time: sentenceEnd ? 920 : null,
          text,
          heartbeat: false,
          sentence_end: sentenceEnd,
          words,
        },
      },
      usage: sentenceEnd ? { duration: 3 } : null,
    },
  };
}

export function taskFinished(taskId: string): object {
  return {
    header: { task_id: taskId, event: 'task-finished', attributes: {} },
    payload: { output: {}, usage: null },
  };
}

export function taskFailed(taskId: string, code: string, message: string): object {
  return {
    header: {
      task_id: taskId,
      event: 'task-failed',
      error_code: code,
      error_message: message,
      attributes: {},
    },
    payload: {},
  };
}
