// Names of the files a Hugging Face model folder consists of.
#pragma once

#include <string>

namespace mtrain::checkpoint {

/// True for weights, index, config and tokenizer files, as mtrain writes them.
bool is_model_file(const std::string& name);

}  // namespace mtrain::checkpoint
