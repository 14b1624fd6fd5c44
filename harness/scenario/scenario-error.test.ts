import test from 'ava';
import { ScenarioError, type ScenarioProblem } from './scenario-error.ts';

const problem = (file: string, line?: number, column?: number): ScenarioProblem => ({
  code: 'SCENARIO_BAD_VALUE',
  file,
  message: 'wrong',
  ...(line !== undefined && { line }),
  ...(column !== undefined && { column }),
});

test('problems stand in the order of the files, and in each by line and column', (t) => {
  const first = { ...problem('b.toml', 9, 2), code: 'SCENARIO_SYNTAX' } as const;
  const error = new ScenarioError([
    problem('b.toml', 10, 1),
    first,
    problem('a.toml', 3, 5),
    problem('a.toml'),
    problem('b.toml', 9, 10),
    problem('a.toml', 3, 4),
  ]);
  t.deepEqual(error.message.split('\n\n'), [
    'b.toml:9:2: wrong',
    'b.toml:9:10: wrong',
    'b.toml:10:1: wrong',
    'a.toml: wrong',
    'a.toml:3:4: wrong',
    'a.toml:3:5: wrong',
  ]);
  t.is(error.code, 'SCENARIO_SYNTAX');
});

test('a hostile file name does not reach the terminal as a command', (t) => {
  const error = new ScenarioError([problem('x\u001b[2J\u202e.toml')]);
  t.is(error.message, 'x␛[2J\ufffd.toml: wrong');
});
