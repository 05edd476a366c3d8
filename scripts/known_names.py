#!/usr/bin/env python3
"""Writes src/config/reference_table.cpp anew: the names that the argument classes of
LLaMA-Factory, mcore_adapter and the Hugging Face trainer have.

    scripts/known_names.py --llamafactory SOURCE --adapter SOURCE --transformers SOURCE [SOURCE]

A SOURCE is a wheel, a folder of sources or the folder of an installed package; nothing of
it is imported. `--as NAME=VERSION` names a version that the sources do not tell, such as a
commit: `--as llamafactory="main of 2026-08-18"`. Several of transformers add up, since
names come and go between versions.
"""
import argparse
import ast
import pathlib
import re
import sys
import textwrap
import zipfile

TABLE = pathlib.Path(__file__).resolve().parent.parent / "src/config/reference_table.cpp"

# Arguments of Megatron-LM that have a counterpart here or come from the model.
MEGATRON = """
adam_eps check_weight_hash_across_dp_replicas_interval clip_grad data_path
decoder_first_pipeline_num_layers decoder_last_pipeline_num_layers deterministic_mode
disable_bias_linear distributed_backend eval_interval exit_duration_in_mins
ffn_hidden_size global_batch_size hidden_size kv_channels load log_interval lr
lr_decay_style lr_warmup_fraction lr_warmup_iters lr_wsd_decay_iters lr_wsd_decay_style
make_vocab_size_divisible_by max_position_embeddings micro_batch_size min_lr
moe_permute_fusion moe_router_topk moe_z_loss_coeff norm_epsilon normalization
num_attention_heads num_experts num_layers num_layers_in_first_pipeline_stage
num_layers_in_last_pipeline_stage num_layers_per_virtual_pipeline_stage num_query_groups
num_virtual_stages_per_pipeline_rank overlap_moe_expert_parallel_comm params_dtype
position_embedding_type qk_layernorm recompute_activations rotary_base save save_interval
seq_length swiglu train_iters untie_embeddings_and_output_weights
"""
# Names of changes to LLaMA-Factory that the sources given may not have yet.
PROPOSED = "reasoning_effort"

SOURCES = {
    # what: (files that hold the classes, files that tell the version)
    "llamafactory": (r"llamafactory/hparams/\w+_args\.py$", r"llamafactory/extras/env\.py$"),
    "adapter": (r"mcore_adapter/training_args\.py$", r"mcore_adapter/pyproject\.toml$"),
    "transformers": (r"transformers/training_args(_seq2seq)?\.py$",
                     r"transformers/__init__\.py$"),
}


def files_of(source, pattern):
    """(name, text) of the files of a wheel or a folder whose path matches."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            for name in sorted(wheel.namelist()):
                if re.search(pattern, name):
                    yield name, wheel.read(name).decode()
        return
    root = pathlib.Path(source).resolve()
    for path in sorted(root.rglob("*")):
        if path.is_file() and re.search(pattern, path.as_posix()):
            yield path.as_posix(), path.read_text()


def fields_of(text):
    """The fields of all dataclasses of a module that can be given as arguments."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ClassDef):
            continue
        if not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            continue
        for line in node.body:
            named = isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            given = named and "init=False" not in ast.unparse(line)
            if given and not line.target.id.startswith("_"):
                yield line.target.id


def version_of(source, pattern):
    for _, text in files_of(source, pattern):
        found = re.search(r'^(?:__version__|VERSION|version) = "([^"]+)"', text, re.M)
        if found:
            return found.group(1)
    sys.exit(f"{source}: no version; give one with --as")


def source_rows(options):
    """(title, names) of each source; a name counts for the first that has it."""
    given = dict(word.split("=", 1) for word in options.versions)
    seen, rows = set(), []
    titles = {"llamafactory": "LLaMA-Factory", "adapter": "mcore_adapter",
              "transformers": "transformers"}
    for what, (classes, version) in SOURCES.items():
        names, versions = set(), []
        for source in getattr(options, what):
            found = [name for _, text in files_of(source, classes) for name in fields_of(text)]
            if not found:
                sys.exit(f"{source}: no argument classes of {titles[what]}")
            names.update(found)
            versions.append(version_of(source, version))
        told = given.get(what, " and ".join(versions))
        if what == "llamafactory":
            names.update(PROPOSED.split())
        rows.append((f"{titles[what]} {told}", sorted(names - seen)))
        seen |= names
    rows.append(("Megatron-LM", sorted(set(MEGATRON.split()) - seen)))
    return rows


def table(rows):
    out = ["// Owns the names of the references' arguments, by where they come from; read by the",
           "// look-up of known names. Written by scripts/known_names.py.",
           '#include "known_names.hpp"', "", "namespace mtrain::config {", "", "namespace {", "",
           "constexpr struct {", "  const char *version, *names;", "} kReferences[] = {"]
    for title, names in rows:
        lines = textwrap.wrap(" ".join(names), 82, break_on_hyphens=False)
        out.append(f'    {{"{title}",')
        out += [f'     "{line}{" " if line is not lines[-1] else ""}"' for line in lines]
        out[-1] += "},"
    return "\n".join(out + [
        "};", "", "}  // namespace", "",
        "const std::vector<ReferenceNames>& all_reference_names() {",
        "  static const std::vector<ReferenceNames> all = [] {",
        "    std::vector<ReferenceNames> made;",
        "    for (const auto& [version, names] : kReferences) made.push_back({version, names});",
        "    return made;", "  }();", "  return all;", "}", "",
        "}  // namespace mtrain::config", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for what in SOURCES:
        parser.add_argument(f"--{what}", nargs="+", required=True, metavar="SOURCE")
    parser.add_argument("--as", dest="versions", action="append", default=[],
                        metavar="NAME=VERSION")
    TABLE.write_text(table(source_rows(parser.parse_args())))


if __name__ == "__main__":
    main()
