import test from 'ava';
import { failureMatrix, matrixGroups } from './failure-matrix.contract.ts';
import { providerNames } from './recorded-conversation.contract.ts';

test('every built-in provider is in one group', (t) => {
  t.deepEqual(Object.values(matrixGroups).flat().sort(), [...providerNames].sort());
});

failureMatrix('openai');
