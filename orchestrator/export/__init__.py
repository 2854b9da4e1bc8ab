"""From labelled samples to preference datasets that trainers load as they are.

One directory, one folder per shape, split by problem so that no problem is on both sides::

    kto/{train,test}.jsonl        prompt, completion, label, problem_id
    dpo/{train,test}.jsonl        prompt, chosen, rejected, problem_id
    sft/{train,test}.jsonl        prompt, completion, problem_id
    ablation/{train,test}.jsonl   as kto; undesirable is only what does not run
    kto_conversational/...        the same shapes as lists of {role, content}
    provenance.jsonl              every sample: problem_id, index, label, reason, detail, fate
    README.md                     the dataset card: counts, recipe, hashes, and where files are

A completion is the sampled text as it is. The end-of-turn token is the trainer's to add.
"""
