// Owns HDF5 identifiers and its error stack; called by the token store.
#include "h5_handle.hpp"

namespace mtrain::data {

bool H5Handle::close() {
  if (id_ < 0) return true;
  return closer_(std::exchange(id_, -1)) >= 0;
}

H5Quiet::H5Quiet() {
  // Effective when this is the process's first call. All handles are closed by their
  // owners; what is left at the end are parts of damaged files, on which HDF5's own
  // cleaning up would choke.
  H5dont_atexit();
  H5Eget_auto2(H5E_DEFAULT, &printer_, &client_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
}

H5Quiet::~H5Quiet() {
  H5Eset_auto2(H5E_DEFAULT, printer_, client_);
}

namespace {
herr_t keep_first(unsigned index, const H5E_error2_t* error, void* out) {
  if (index == 0 && error->desc) *static_cast<std::string*>(out) = error->desc;
  return 0;
}
}  // namespace

std::string h5_last_error() {
  std::string message;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &message);
  return message;
}

}  // namespace mtrain::data
